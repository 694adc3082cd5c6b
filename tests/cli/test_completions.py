"""The installed completion files in the shells they are for."""

import os
import pty
import select
import subprocess
import time

import pytest
from support.etl import BINARY, PATIENCE

COMPLETIONS = BINARY.parents[2] / "completions"

# A line up to where Tab is pressed, and what the shell offers then.
RUN_OPTIONS = {"--help", "--once", "--threads", "--quiet", "--log-level", "--log-format"}
CASES = [
    ("etl-stream ", {"lag", "python", "run"}),
    ("etl-stream --v", {"--version"}),
    ("etl-stream run --", RUN_OPTIONS),
    ("etl-stream run --log-f", {"--log-format"}),
    ("etl-stream run --log-format ", {"auto", "text", "json"}),
    ("etl-stream run --log-level wa", {"warning"}),
    ("etl-stream lag --w", {"--watch", "--warning"}),
    ("etl-stream run ", {"one.toml", "two.toml"}),
    ("etl-stream run --once one.toml tw", {"two.toml"}),
    ("etl-stream python s", {"setup", "snowflake"}),
    ("etl-stream python setup d", {"duckdb"}),
    ("etl-stream python --ve", {"--venv"}),
]


@pytest.fixture
def files(tmp_path):
    for name in ("one.toml", "two.toml", "other.txt"):
        (tmp_path / name).touch()
    return tmp_path


def run(directory, *command):
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=60 * PATIENCE)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def bash_offers(directory, words):
    script = f"""
        source {COMPLETIONS / "etl-stream"}
        COMP_WORDS=({" ".join(words[:-1])} '{words[-1]}') COMP_CWORD={len(words) - 1}
        _etl_stream
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return set(run(directory, "bash", "--norc", "-c", script).split())


@pytest.mark.parametrize("line, offers", CASES)
def test_bash(files, line, offers):
    assert bash_offers(files, line.split(" ")) == offers


def test_bash_breaks_words_at_an_equals_sign(files):
    assert bash_offers(files, ["etl-stream", "run", "--log-level", "=", "de"]) == {"debug"}
    assert bash_offers(files, ["etl-stream", "run", "--log-level", "="]) == {"debug", "info", "warning", "error", "off"}
    assert bash_offers(files, ["etl-stream", "run", "--threads", ""]) == set()


def test_bash_offers_directories(files):
    (files / "three").mkdir()
    assert bash_offers(files, ["etl-stream", "run", "t"]) == {"two.toml", "three"}


def test_bash_registers(files):
    assert run(files, "bash", "--norc", "-c", f"source {COMPLETIONS / 'etl-stream'}; complete -p etl-stream") == (
        "complete -F _etl_stream etl-stream\n"
    )


@pytest.mark.parametrize("line, offers", CASES)
def test_fish(files, line, offers):
    script = f"source {COMPLETIONS / 'etl-stream.fish'}; complete -C '{line}'"
    found = {offer.split("\t")[0] for offer in run(files, "fish", "--no-config", "-c", script).splitlines()}
    assert found - {"other.txt"} == offers  # fish puts the names that fit first, and keeps the others


class Zsh:
    """An interactive zsh with our completion. Its answer to a Tab, the line's text and what was listed, goes to a file."""

    SETUP = """
        unsetopt beep; PROMPT=; RPROMPT=; LISTMAX=0
        fpath=({functions} $fpath)
        autoload -Uz compinit && compinit -u -d {directory}/dump
        zstyle ':completion:*' verbose no
        offer() {{
            local -a offered
            compadd() {{ builtin compadd -O offered "$@"; print -rl -- $offered >> {directory}/offers; builtin compadd "$@" }}
            zle complete-word
            unfunction compadd
            print -r -- "$BUFFER" > {directory}/line
            zle kill-whole-line
        }}
        zle -C complete-word complete-word _main_complete
        zle -N offer; bindkey '^T' offer
        print -r -- ready > {directory}/line
    """

    def __init__(self, directory):
        self.directory = directory
        (directory / "zshrc").write_text(self.SETUP.format(functions=COMPLETIONS, directory=directory))
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.chdir(directory)
            environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "LC_ALL": "C.UTF-8", "TERM": "dumb"}
            os.execvpe("zsh", ["zsh", "-f", "-i"], environment)
        self.pid = pid
        self.send(f"source {directory}/zshrc\n")
        self.answer()

    def send(self, text):
        os.write(self.terminal, text.encode())

    def answer(self):
        """Waits for the file, reading what the terminal says meanwhile so that zsh never blocks on it."""
        path, limit, said = self.directory / "line", time.monotonic() + 60 * PATIENCE, b""
        while not (path.exists() and path.read_text().endswith("\n")):
            assert time.monotonic() < limit, said.decode(errors="replace")
            if select.select([self.terminal], [], [], 0.02)[0]:
                said += os.read(self.terminal, 65536)
        line = path.read_text()
        path.unlink()
        return line.rstrip("\n")

    def offers(self, line):
        offers = self.directory / "offers"
        offers.unlink(missing_ok=True)
        self.send(line + "\x14")
        self.answer()
        return set(offers.read_text().split("\n")) - {""} if offers.exists() else set()

    def close(self):
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


def test_zsh(files):
    zsh = Zsh(files)
    try:
        for line, offers in CASES:
            found = {offer.rstrip("=") for offer in zsh.offers(line)}
            assert found == offers, line
    finally:
        zsh.close()
