"""Rules of the sources that a script can see: who may include whom, and traps that compilers do not name."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for path in (ROOT / "src").rglob("*") if path.suffix in (".hpp", ".cpp"))
UNIT_TESTS = sorted((ROOT / "tests" / "unit").rglob("*.cpp"))
DECODER = sorted(path for path in (ROOT / "subprojects" / "pgoutput").rglob("*") if path.suffix in (".hpp", ".cpp"))
ALL_CPP = SOURCES + UNIT_TESTS + DECODER

# A room may use itself, its own line's neighbours never, and every room of a line above.
ROOMS = [
    ["base"],
    ["model"],
    ["replication"],
    ["encode"],
    ["config"],
    ["transform"],
    ["runtime"],
    ["pg", "redis", "http", "python"],
    ["state"],
    ["destination"],
    ["pipeline"],
    ["monitor"],
    ["cli"],
]
RANK = {room: rank for rank, rooms in enumerate(ROOMS) for room in rooms}

# External headers and the rooms that may see them.
EXTERNAL = {
    r"libpq|postgres_ext|pg_config|catalog/": {"pg"},
    r"sqlite3": {"state"},
    r"toml\+\+|toml\.hpp": {"config"},
    r"CLI/": {"cli"},
    r"hiredis": {"redis"},
    r"pybind11|Python\.h": {"python", "destination"},
    r"boost/beast|openssl": {"http"},
    r"zstd|zlib": {"destination"},
    r"xxhash": {"encode", "destination"},
    r"pgoutput/": {"replication", "encode", "destination", "pipeline"},
    r"boost/asio": {"runtime", "pg", "redis", "http", "python", "state", "destination", "pipeline", "monitor", "cli"},
}


def include_lines(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if match := re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line):
            yield number, match[1] == '"', match[2]


def room_of(path):
    return path.relative_to(ROOT / "src").parts[0]


def code_lines(path):
    """(number, line) with comments and string literals blanked; good enough for rules about words."""
    in_comment = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = re.sub(r'"(?:\\.|[^"\\])*"', '""', line)
        if in_comment:
            head, end, line = line.partition("*/")
            in_comment = not end
        line = re.sub(r"/\*.*?\*/", "", line).split("//")[0]
        if "/*" in line:
            line, in_comment = line.split("/*")[0], True
        yield number, line


def matches(paths, pattern):
    expression = re.compile(pattern)
    return [f"{path.relative_to(ROOT)}:{number}: {line.strip()}" for path in paths
            for number, line in code_lines(path) if expression.search(line)]


def no_findings(findings):
    if findings:
        pytest.fail("\n".join(findings), pytrace=False)


def test_there_is_something_to_check():
    assert SOURCES and UNIT_TESTS


@pytest.mark.parametrize("room", sorted({room_of(path) for path in SOURCES}))
def test_include_direction(room):
    findings = []
    for path in SOURCES:
        if room_of(path) != room:
            continue
        for number, own, name in include_lines(path):
            target = name.split("/")[0]
            if own and target not in (room, "pgoutput") and not RANK.get(target, len(ROOMS)) < RANK[room]:
                findings.append(f"{path.relative_to(ROOT)}:{number}: {room} may not include {name}")
    no_findings(findings)


@pytest.mark.parametrize("headers", EXTERNAL)
def test_external_headers_stay_in_their_rooms(headers):
    findings = []
    for path in SOURCES:
        for number, own, name in include_lines(path):
            if re.match(headers, name) and room_of(path) not in EXTERNAL[headers]:
                findings.append(f"{path.relative_to(ROOT)}:{number}: {name} belongs to {sorted(EXTERNAL[headers])}")
    no_findings(findings)


def test_the_decoder_needs_the_standard_library_only():
    findings = []
    for path in DECODER:
        if "tests" in path.parts or "fuzz" in path.parts:
            continue
        for number, own, name in include_lines(path):
            if not name.startswith("pgoutput/") and "/" in name or (not own and name.endswith(".h")):
                findings.append(f"{path.relative_to(ROOT)}:{number}: {name}")
    no_findings(findings)


def test_python_files_are_python():
    tracked = subprocess.run(["git", "ls-files", "-z", "*.py", "*.pyi"], cwd=ROOT, capture_output=True, check=True)
    findings = []
    for name in filter(None, tracked.stdout.decode().split("\0")):
        try:
            compile((ROOT / name).read_text(), name, "exec")
        except (SyntaxError, FileNotFoundError) as failure:
            findings.append(f"{name}: {failure}")
    no_findings(findings)


def test_headers_say_pragma_once():
    headers = [path for path in SOURCES + DECODER if path.suffix == ".hpp"]
    no_findings([str(path.relative_to(ROOT)) for path in headers if "#pragma once\n" not in path.read_text()])


def test_own_header_comes_first():
    findings = []
    for path in SOURCES:
        header = path.with_suffix(".hpp")
        if path.suffix != ".cpp" or not header.exists():
            continue
        first = next(include_lines(path), None)
        if not first or first[2] != str(header.relative_to(ROOT / "src")):
            findings.append(f"{path.relative_to(ROOT)}: {header.name} is not its first include")
    no_findings(findings)


def test_nothing_is_left_half_done():
    places = [path for folder in ("src", "subprojects", "tests", "man", "completions", "examples", "bench", "docs")
              for path in (ROOT / folder).rglob("*") if path.is_file() and path != Path(__file__).resolve()]
    words = re.compile(rb"\b(TODO|FIXME|XXX|HACK)\b")
    findings = []
    for path in places:
        if path.suffix in (".pyc", ".gz", ".zst") or "packagecache" in path.parts:
            continue
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            if words.search(line):
                findings.append(f"{path.relative_to(ROOT)}:{number}")
    no_findings(findings)


def test_no_await_inside_a_catch_macro():
    """The macro's expression is evaluated inside a try block of Catch's own, with state that a suspension outlives."""
    macro = r"\b(CHECK|REQUIRE)(_\w+)?\s*\(.*\bco_(await|yield)\b"
    no_findings(matches(UNIT_TESTS, macro))


def test_nothing_duplicates_a_socket():
    """libpq may reopen its socket under the same number; a duplicate would be waited on for ever."""
    no_findings(matches(SOURCES, r"\b(dup|dup2|dup3)\s*\(|F_DUPFD"))


def test_no_detached_coroutine_outside_runtime():
    no_findings(matches([path for path in SOURCES if room_of(path) != "runtime"], r"\bdetached\b"))


def test_unit_tests_do_not_sleep():
    no_findings(matches(UNIT_TESTS, r"\b(sleep_for|sleep_until|usleep|nanosleep|sleep)\s*\("))


def test_const_stands_to_the_east():
    no_findings(matches(ALL_CPP, r"(^|[(<,]|\bstatic )\s*const (?!_)[A-Za-z]"))


def test_lines_are_plain():
    findings = []
    for path in ALL_CPP:
        text = path.read_text()
        if not text.endswith("\n") or text.endswith("\n\n"):
            findings.append(f"{path.relative_to(ROOT)}: does not end with one line feed")
        for number, line in enumerate(text.splitlines(), 1):
            if len(line) > 120 or "\t" in line or line != line.rstrip():
                findings.append(f"{path.relative_to(ROOT)}:{number}: longer than 120 columns, a tab, or blanks at the end")
    no_findings(findings)


def test_every_unit_test_is_built():
    findings = []
    for path in UNIT_TESTS:
        build = path.parent / "meson.build"
        if not build.exists() or f"'{path.name}'" not in build.read_text():
            findings.append(f"{path.relative_to(ROOT)} is in no meson.build")
    no_findings(findings)


def test_every_room_says_what_it_is_for():
    no_findings([f"src/{room} has no README.md" for room in sorted({room_of(path) for path in SOURCES})
                 if not (ROOT / "src" / room / "README.md").exists()])
