"""The manual pages: well-formed, and in step with the program."""

import re
import subprocess
from pathlib import Path

import pytest
from support.etl import BINARY

MAN = Path(__file__).resolve().parents[2] / "man"
PAGES = sorted(MAN.glob("*.[1-8]"))


def output(*arguments):
    return subprocess.run([BINARY, *arguments], check=True, capture_output=True, text=True).stdout


def options(text, pattern):
    return set(re.findall(pattern, text, re.MULTILINE))


def test_there_are_pages():
    assert [page.name for page in PAGES] == ["etl-stream-lag.1", "etl-stream-python.1", "etl-stream-run.1", "etl-stream.1", "etl-stream.toml.5"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mandoc_has_no_warnings(page):
    done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", page], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_page_that_is_referred_to_exists():
    own = {page.name for page in PAGES}
    for page in PAGES:
        for name, section in re.findall(r"^\.Xr (\S+) (\d)", page.read_text(), re.MULTILINE):
            assert f"{name}.{section}" in own or not name.startswith("etl-stream"), f"{page.name}: {name}({section})"


def test_commands_and_options_are_those_of_the_page():
    commands = options(output("--help").split("Options:")[0].split("Commands:")[1], r"^  (\w+) ")
    page = (MAN / "etl-stream.1").read_text()
    assert commands == options(page, r"^\.It Cm (\w+)$") - {"postgres", "file", "null"}
    for command in commands:
        helped = options(output(command, "--help"), r"^  (?:-\w, )?--([\w-]+)")
        described = options((MAN / f"etl-stream-{command}.1").read_text(), r"^\.It (?:Fl \w , )?Fl -([\w-]+)")
        assert helped == described
