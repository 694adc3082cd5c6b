"""Builds the project and runs its tests; called by tests/run, which installs what is needed first."""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from pathlib import Path

from postgres import server_programs

ROOT = Path(__file__).resolve().parents[2]
PYTEST_PARTS = ("lint", "cli", "integration")
OTHER_SERVERS = ("14", "16", "17", "18")  # tests/setup matrix installs them

SANITIZERS = {
    None: ["-Dbuildtype=release"],
    "address": ["-Dbuildtype=debugoptimized", "-Db_sanitize=address,undefined", "-Db_lundef=false"],
    "thread": ["-Dbuildtype=debugoptimized", "-Db_sanitize=thread", "-Db_lundef=false"],
}
SANITIZER_ENVIRONMENT = {
    "LSAN_OPTIONS": f"suppressions={ROOT}/tests/support/leaks.supp:print_suppressions=0",
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": f"suppressions={ROOT}/tests/support/races.supp:second_deadlock_stack=1:halt_on_error=1",
}


class Tally:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skipped = 0

    def add(self, passed, failed, skipped=0):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped


def headline(text):
    print(f"\n== {text}", flush=True)


def build(directory, sanitizer):
    """Configures (once) and compiles; False when that fails."""
    headline(f"build in {directory.relative_to(ROOT)}")
    if not (directory / "build.ninja").exists():
        setup = ["meson", "setup", "--native-file", "meson/clang-19.ini", "-Dwerror=true", *SANITIZERS[sanitizer]]
        if subprocess.run([*setup, str(directory)], cwd=ROOT).returncode != 0:
            return False
    began = time.monotonic()
    status = subprocess.run(["ninja", "-C", str(directory)], cwd=ROOT).returncode
    print(f"built in {time.monotonic() - began:.0f} s", flush=True)
    return status == 0


def count_catch2(output, status):
    """(passed, failed) test cases of one Catch2 program, from the last lines it printed."""
    if match := re.search(r"^All tests passed \(\d+ assertions? in (\d+) test cases?\)", output, re.MULTILINE):
        passed, failed = int(match[1]), 0
    elif match := re.search(r"^test cases:\s+\d+(?: \|\s+(\d+) passed)?(?: \|\s+(\d+) failed)?", output, re.MULTILINE):
        passed, failed = int(match[1] or 0), int(match[2] or 0)
    elif "No test cases matched" in output or "No tests ran" in output:
        passed, failed = 0, 0
    else:
        passed, failed = int(status == 0), 0
    if status != 0 and failed == 0:
        failed = 1  # died, ran out of time, or a sanitizer objected at exit
    return passed, failed


def run_unit(directory, sanitizer, pattern, tally):
    headline("unit tests" + (f" ({sanitizer} sanitizer)" if sanitizer else ""))
    command = ["meson", "test", "-C", str(directory), "--no-rebuild", "--print-errorlogs"]
    command += ["--timeout-multiplier", "10" if sanitizer else "4"]
    if pattern:
        command += ["--test-args", f"*{pattern}*"]
    log = directory / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    status = subprocess.run(command, cwd=ROOT).returncode
    if not log.exists():
        tally.add(0, int(status != 0))
        return
    for line in log.read_text().splitlines():
        test = json.loads(line)
        status = test["returncode"] if test["result"] in ("OK", "FAIL") else 1
        tally.add(*count_catch2(test.get("stdout", ""), status))


def run_pytest(part, binary, options, tally, server=None):
    """`server`: a PostgreSQL version other than Debian's, for the tests marked matrix."""
    if part == "integration":
        note = "" if server or options.matrix else ", the server that Debian has; --matrix adds others"
        headline(f"integration tests (PostgreSQL {server or server_programs().parent.name}{note})")
    else:
        headline(f"{part} tests")
    if not any((ROOT / "tests" / part).glob("test_*.py")):
        return
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-v", "--tb=short", "-p", "no:cacheprovider", f"--junitxml={report}"]
        if options.filter:
            command += ["-k", options.filter]
        marks = ["short"] if options.short and part == "integration" else []
        if server:
            marks.append("matrix")
        if options.sanitize == "thread":
            marks.append("not foreign_threads")
        if marks:
            command += ["-m", " and ".join(marks)]
        environment = dict(os.environ, ETL_BINARY=str(binary), ETL_BUILD=str(binary.parents[2]))
        if server:
            environment["ETL_POSTGRES"] = server
        if options.random_seconds is not None:
            environment["ETL_RANDOM_SECONDS"] = str(options.random_seconds)
        if options.sanitize:
            environment["ETL_PATIENCE"] = "5"
        status = subprocess.run([*command, f"tests/{part}"], cwd=ROOT, env=environment).returncode
        if not report.exists():
            tally.add(0, 1)
            return
        suite = xml.etree.ElementTree.parse(report).getroot()[0]
        failed = int(suite.get("failures")) + int(suite.get("errors"))
        skipped = int(suite.get("skipped"))
        if status not in (0, 5) and failed == 0:  # 5: nothing matched the filter
            failed = 1
        tally.add(max(int(suite.get("tests")) - failed - skipped, 0), failed, skipped)


def main():
    parser = argparse.ArgumentParser(prog="tests/run", description="Builds, and runs the tests. Without a choice: all.")
    parser.add_argument("--unit", action="store_true", help="unit tests")
    for part in PYTEST_PARTS:
        parser.add_argument(f"--{part}", action="store_true", help=f"{part} tests")
    parser.add_argument("--sanitize", choices=("address", "thread"), help="address: ASan and UBSan; thread: TSan")
    parser.add_argument("--random-seconds", type=int, metavar="N", help="how long the random test runs (default 60)")
    parser.add_argument("--short", action="store_true", help="of the integration tests only those marked short")
    parser.add_argument(
        "--matrix",
        action="store_true",
        help=f"the integration tests marked matrix once more on PostgreSQL {', '.join(OTHER_SERVERS)}",
    )
    parser.add_argument("--filter", metavar="TEXT", help="only tests whose name holds TEXT (pytest: a -k expression)")
    options = parser.parse_args()
    chosen = [part for part in ("unit", *PYTEST_PARTS) if getattr(options, part)]
    parts = chosen or ["unit", *PYTEST_PARTS]

    os.environ.update(SANITIZER_ENVIRONMENT)
    directory = ROOT / ("build-tests" + (f"-{options.sanitize}" if options.sanitize else ""))
    binary = directory / "src" / "cli" / "etl-stream"
    tally = Tally()
    if build(directory, options.sanitize):
        if "unit" in parts:
            run_unit(directory, options.sanitize, options.filter, tally)
        for part in PYTEST_PARTS:
            if part in parts:
                run_pytest(part, binary, options, tally)
        for server in OTHER_SERVERS if options.matrix and "integration" in parts else ():
            run_pytest("integration", binary, options, tally, server)
    else:
        tally.add(0, 1)

    ran = tally.passed + tally.failed
    if not ran:
        print("nothing ran")
    if tally.skipped:
        print(f"{tally.skipped} skipped")
    print(f"\n{tally.passed} passed, {tally.failed} failed")
    return 0 if ran and not tally.failed else 1


if __name__ == "__main__":
    sys.exit(main())
