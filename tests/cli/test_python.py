"""The command that installs Python packages. What it installs, the integration tests import."""

import os
import subprocess
import sys

from support.etl import BINARY

LANGUAGE = f"{sys.version_info.major}.{sys.version_info.minor}"


def python(*arguments, **variables):
    return subprocess.run([BINARY, "python", *arguments], capture_output=True, text=True, timeout=120,
                          env=os.environ | variables)


def environment(path, version=LANGUAGE, packages=()):
    for package in packages:
        (path / "lib" / f"python{LANGUAGE}" / "site-packages" / f"{package}.dist-info").mkdir(parents=True)
    path.mkdir(exist_ok=True)
    (path / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {version}.2\n")
    return str(path)


def test_check_says_what_fits(tmp_path):
    venv = environment(tmp_path / "venv", packages=["duckdb-1.0.0", "snowpipe_streaming-1.9.1", "msgspec-0.20.0"])
    done = python("check", "--venv", venv)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"{venv}: Python {LANGUAGE}",
        "snowflake  snowpipe-streaming 1.9.1",
        "snowflake  msgspec 0.20.0",
        "duckdb     duckdb 1.0.0 (2.0.0 is needed)",
    ]
    assert done.stderr == f"Run: etl-stream python setup --venv {venv}\n"
    assert python("check", "snowflake", "--venv", venv).returncode == 0


def test_the_default_environment_is_the_users(tmp_path):
    done = python("check", "duckdb", XDG_DATA_HOME=str(tmp_path))
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"{tmp_path}/etl-stream/venv: not there",
        "duckdb     duckdb missing (2.0.0 is needed)",
    ]


def test_an_environment_of_another_python(tmp_path):
    venv = environment(tmp_path / "venv", version="2.7")
    done = python("check", "--venv", venv)
    assert done.returncode == 1
    assert f"is one of Python 2.7.2, and this program runs Python {LANGUAGE}" in done.stderr


def test_setup_leaves_other_directories_alone(tmp_path):
    (tmp_path / "letters").touch()
    done = python("setup", "--venv", str(tmp_path))
    assert done.returncode == 1
    assert f"{tmp_path} is there, and no virtual environment of Python's" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["letters"]


def test_setup_without_a_way_to_an_index(tmp_path):
    venv = tmp_path / "new" / "venv"
    done = python("setup", "duckdb", "--venv", str(venv), PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path))
    assert done.returncode == 1
    assert "the packages for duckdb could not be installed; the lines above are pip's" in done.stderr
    assert "--hash=sha256:" in (venv / "requirements-duckdb.txt").read_text()
    assert (venv / "bin" / "pip").exists()
