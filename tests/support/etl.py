"""Pipelines under test: the configuration, the process, and what the two sides hold."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import psycopg2

from support import files

PATIENCE = float(os.environ.get("ETL_PATIENCE", "1"))  # sanitizers are slow: every limit is multiplied by this
BINARY = Path(os.environ.get("ETL_BINARY", "build/src/cli/etl-stream")).resolve()
SANITIZER_REPORT = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|SUMMARY: \w+Sanitizer")


def wait_until(condition, what, seconds=30, alive=None):
    """Polls until the condition holds and returns what it gave. `alive` may say, by raising, that waiting is in vain."""
    limit = time.monotonic() + seconds * PATIENCE
    while True:
        if result := condition():
            return result
        if alive:
            alive()
        if time.monotonic() > limit:
            raise AssertionError(f"not within {seconds * PATIENCE:.0f} s: {what}")
        time.sleep(0.02)


def toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)  # strings, numbers and lists are written alike


class Process:
    """One etl-stream process. Its log goes to a file that all starts of one name share."""

    def __init__(self, log, arguments):
        self.log = log
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                [str(BINARY), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=log.parent
            )

    @property
    def pid(self):
        return self.process.pid

    @property
    def exit_code(self):
        """None while it runs; negative for the signal that ended it."""
        return self.process.poll()

    def text(self):
        return self.log.read_text(errors="replace")

    def check_alive(self):
        if self.exit_code is not None:
            raise AssertionError(f"etl-stream ended with {self.exit_code}")

    def wait(self, seconds=30):
        try:
            return self.process.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"etl-stream still runs after {seconds * PATIENCE:.0f} s") from None

    def kill(self):
        """SIGKILL: nothing of the process acts any more when this returns."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def handles(self, number):
        """Whether a handler for the signal is in place: the kernel's word."""
        caught = re.search(r"SigCgt:\s+([0-9a-f]+)", Path(f"/proc/{self.pid}/status").read_text())
        return bool(caught and int(caught[1], 16) >> (number - 1) & 1)

    def terminate(self, seconds=20):
        """SIGTERM, to a process that is past its first instants; the exit code."""
        wait_until(lambda: self.exit_code is not None or self.handles(signal.SIGTERM), "a handler for SIGTERM")
        self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    @contextlib.contextmanager
    def paused_when(self, condition, what, seconds=30):
        """The process does nothing at all while this lasts. It runs in short slices up to here, and the condition is
        looked at between them, so that little happens after the moment at which it came to hold."""

        def after_a_slice():
            self.process.send_signal(signal.SIGCONT)
            time.sleep(0.01)
            self.process.send_signal(signal.SIGSTOP)
            return condition()

        try:
            wait_until(after_a_slice, what, seconds, self.check_alive)
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def peak_memory(self):
        """VmHWM in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


class Pipeline:
    """A pipeline from one database to a destination, with configuration, state and log in `directory`."""

    def __init__(self, directory, from_, to, name="p", /, **sections):
        """`from_` is (cluster, database), `to` likewise, or a path for the file destination.
        Keyword arguments are sections of the configuration: copy={"workers": 1}."""
        self.directory = Path(directory)
        self.name = name
        self.cluster, self.database = from_
        self.slot = self.publication = f"etl_stream_{name}"
        self.to = to
        self.file = self.directory / f"{name}.toml"
        self.state = self.directory / f"{name}.db"
        self.sections = {"source": {}, "destination": {}, "state": {"url": f"sqlite:{self.state}"}}
        self.sections["source"]["url"] = self.cluster.url(self.database)
        if isinstance(to, tuple):
            cluster, database = to
            self.sections["destination"].update(type="postgres", url=cluster.url(database))
        else:
            self.sections["destination"].update(type="file", path=str(to))
            self.sections["batch"] = {"max_fill": "100ms"}
        self.configure(**sections)
        self.process = None

    def configure(self, **sections):
        for name, keys in sections.items():
            if isinstance(keys, dict):
                self.sections.setdefault(name, {}).update(keys)
            else:
                self.sections[name] = keys
        lines = [f"name = {toml(self.name)}"]
        lines += [f"{key} = {toml(value)}" for key, value in self.sections.items() if not isinstance(value, dict)]
        for section, keys in self.sections.items():
            if isinstance(keys, dict):
                lines += ["", f"[{section}]", *(f"{key} = {toml(value)}" for key, value in keys.items())]
        self.file.write_text("\n".join(lines) + "\n")

    # The process

    def start(self, *options):
        self.process = Process(self.directory / f"{self.name}.log", ["run", *options, self.file])
        return self.process

    def once(self, seconds=60):
        """run --once; the exit code."""
        return self.start("--once").wait(seconds)

    def run_to_end(self, seconds=30):
        """Starts it where it is expected to give up; (exit code, what it said in this run)."""
        log = self.directory / f"{self.name}.log"
        before = len(log.read_bytes()) if log.exists() else 0
        code = self.start().wait(seconds)
        return code, log.read_bytes()[before:].decode(errors="replace")

    def kill(self):
        self.process.kill()

    def stop(self):
        """SIGTERM, which has to end in exit code 0."""
        code = self.process.terminate()
        assert code == 0, f"exit code {code} after SIGTERM"

    def clean_up(self):
        if self.process and self.process.exit_code is None:
            self.process.kill()

    def wait_until(self, condition, what, seconds=30):
        alive = self.process.check_alive if self.process else None
        return wait_until(condition, what, seconds, alive)

    # The source's view

    def source(self, statements, *parameters):
        return self.cluster.sql(self.database, statements, *parameters)

    def wal_end(self):
        return self.cluster.value(self.database, "SELECT pg_current_wal_insert_lsn()::text")

    def confirmed(self, lsn):
        """Whether the slot's confirmed position is at or behind `lsn`."""
        query = "SELECT coalesce(bool_or(confirmed_flush_lsn >= %s), false) FROM pg_replication_slots WHERE slot_name = %s"
        return self.cluster.value(self.database, query, lsn, self.slot)

    def wait_confirmed(self, lsn=None, seconds=30):
        target = lsn or self.wal_end()
        self.wait_until(lambda: self.confirmed(target), f"slot {self.slot} confirmed up to {target}", seconds)

    def streaming(self):
        """The slot is also in use while it is made; what is written then is the copy's to bring."""
        query = (
            "SELECT count(*) = 1 FROM pg_replication_slots JOIN pg_stat_replication ON pid = active_pid"
            " WHERE slot_name = %s AND state IN ('catchup', 'streaming')"
        )
        return self.cluster.value(self.database, query, self.slot)

    def wait_streaming(self, seconds=30):
        self.wait_until(self.streaming, "the slot is in use", seconds)

    # Both sides

    def wait_equal(self, *tables, seconds=30):
        """Waits until every table holds the same rows on both sides; the difference is in the failure's text."""
        state = {}

        def equal():
            state["difference"] = [text for table in tables for text in self.differences(table)]
            return not state["difference"]

        try:
            self.wait_until(equal, "both sides equal", seconds)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n" + "\n".join(state["difference"][:20])) from None

    def assert_equal(self, *tables):
        difference = [text for table in tables for text in self.differences(table)]
        assert not difference, "\n".join(difference[:20])

    def differences(self, table):
        """Rows, as text, that one side has and the other has not, counting equal rows. Empty when the sides are equal."""
        if isinstance(self.to, tuple):
            ours = rows_of(self.cluster, self.database, table)
        else:
            ours = rows_of(self.cluster, self.database, table, column_list(self.cluster, self.database, table, sent=True))
            ours = files.comparable(ours, self.cluster, self.database, table)
        theirs = self.destination_rows(table)
        if ours == theirs:
            return []
        if theirs is None:
            return [f"{table}: not there"]
        missing, extra = subtract(ours, theirs), subtract(theirs, ours)
        return [f"{table}: missing {row}" for row in missing] + [f"{table}: too many {row}" for row in extra]

    def destination_rows(self, table):
        if isinstance(self.to, tuple):
            columns = column_list(self.cluster, self.database, table)
            return rows_of(*self.to, table, columns)
        return files.current_rows(self.to, table, self.cluster, self.database)


def subtract(left, right):
    """The multiset difference of two sorted lists."""
    counts = {}
    for row in right:
        counts[row] = counts.get(row, 0) + 1
    rest = []
    for row in left:
        if counts.get(row, 0):
            counts[row] -= 1
        else:
            rest.append(row)
    return rest


def column_list(cluster, database, table, sent=False):
    """The table's columns in order, each as text, ready for a SELECT list; quoted as SQL needs it. `sent`: without those
    that are generated."""
    rows = cluster.sql(
        database,
        "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
        " AND (attgenerated = '' OR NOT %s) ORDER BY attnum",
        table,
        sent,
    )
    return [row[0] for row in rows]


def rows_of(cluster, database, table, columns=None):
    """All rows as sorted tuples of text; None when there is no such table, or a column of it is missing."""
    present = column_list(cluster, database, table)
    columns = columns or present
    if not columns and cluster.value(database, "SELECT to_regclass(%s) IS NOT NULL", table):
        return [()] * cluster.value(database, f"SELECT count(*) FROM ONLY {table}")
    if not present or not set(columns) <= set(present):
        return None
    # concat() gives what the type's output function writes; a cast to text would trim char(n).
    selected = ", ".join(f"CASE WHEN {column} IS DISTINCT FROM NULL THEN concat({column}) END" for column in columns)
    try:
        return sorted(cluster.sql(database, f"SELECT {selected} FROM {table}"), key=repr)
    except (psycopg2.errors.UndefinedColumn, psycopg2.errors.UndefinedTable):  # it changed just now
        return None
