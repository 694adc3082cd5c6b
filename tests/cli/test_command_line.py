"""What the program says and returns before it connects to anything."""

import json
import os
import subprocess

import pytest
from support.etl import BINARY

PIPELINE = """
name = "shop"
source.url = "postgres://etl@localhost/shop"
destination.type = "null"
"""


def run(*arguments, **options):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=60, **options)


@pytest.fixture
def write(tmp_path):
    def written(name, text, mode=0o600):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return written


@pytest.mark.parametrize(
    "arguments, status, out, error",
    [
        (["--version"], 0, "etl-stream ", ""),
        (["--help"], 0, "Usage: etl-stream COMMAND", ""),
        (["run", "--help"], 0, "Usage: etl-stream run FILE... [OPTION...]", ""),
        ([], 2, "", "Usage: etl-stream COMMAND"),
        (["rnu"], 2, "", "there is no command rnu; did you mean run?"),
        (["run"], 2, "", "FILE is required"),
        (["run", "--onec", "x.toml"], 2, "", "there is no option --onec; did you mean --once?"),
        (["run", "/nonexistent/p.toml"], 2, "", "/nonexistent/p.toml: the file cannot be read: No such file or directory"),
    ],
)
def test_usage(arguments, status, out, error):
    done = run(*arguments)
    assert done.returncode == status
    assert out in done.stdout and bool(out) == bool(done.stdout)
    assert error in done.stderr and bool(error) == bool(done.stderr)


def test_output_that_cannot_be_written_is_a_failure():
    with open("/dev/full", "w") as full:
        assert subprocess.run([BINARY, "--version"], stdout=full).returncode == 1


def test_every_mistake_of_every_file_at_once(write):
    first = write("first.toml", PIPELINE + 'shutdown = "10s"\n[copy]\nworkers = "two"\n')
    second = write("second.toml", 'name = "shop"\n[destination]\ntype = "nul"\n')
    done = run("run", first, second)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"{first}:5:1: unknown key shutdown",
        "  etl-stream.toml(5) describes every key",
        f"{first}:7:11: copy.workers wants an integer, not a text",
        f"{second}: source.url is missing",
        "  it is the database to replicate from",
        f'{second}:3:8: destination.type is "nul", but takes postgres, snowflake, duckdb, python, file or null',
        '  did you mean "null"?',
    ]


def test_two_pipelines_of_one_name(write):
    first, second = write("first.toml", PIPELINE), write("second.toml", PIPELINE)
    done = run("run", first, second)
    assert done.returncode == 2
    assert f"{second}:2:8: the name shop is that of the pipeline in {first}, too" in done.stderr


def test_mistakes_as_json_when_asked_for(write):
    path = write("p.toml", PIPELINE + "sluurp = 1")
    done = run("run", "--log-format", "json", "--log-level", "error", path)
    assert done.returncode == 2
    (line,) = (json.loads(line) for line in done.stderr.splitlines())
    assert line["level"] == "error"
    assert (line["code"], line["file"], line["line"], line["column"]) == ("config.unknown_key", path, 5, 1)


def test_a_secret_is_never_printed(write):
    broken = write("p.toml", PIPELINE.replace('"postgres://', '"postgrs://').replace("etl@", "etl:hunter2@"), 0o644)
    done = run("run", broken, env=os.environ | {"PGPASSWORD": "hunter2"})
    assert done.returncode == 2
    assert "hunter2" not in done.stdout + done.stderr
    assert "warning: " in done.stderr  # of a password that others can read
