"""A destination that is a user's module: the example's, as a newcomer would run it, and ones that misbehave."""

import json
import sqlite3
import time
from pathlib import Path

import pytest

from support import etl
from support.writers import SECONDS, TABLES, seed_of_this_run, write_and_kill

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "python-destination" / "sqlite_destination.py"


@pytest.fixture
def pipeline(world):
    def made(module=EXAMPLE, settings=None, **sections):
        pipeline = world.pipeline("file", **sections)
        pipeline.sections["destination"] = {"type": "python", "module": str(module), "format": "ndjson"}
        pipeline.sections["destination"]["settings"] = settings or {"path": str(world.directory / "there.sqlite")}
        pipeline.configure()
        return pipeline

    return made


def spelled(value, kind):
    """A value of the source or of SQLite, so that equal ones are equal: bool is 1 or 0 in SQLite."""
    if value is None or kind not in ("json", "jsonb", "boolean"):
        return value if value is None else str(value)
    if kind == "boolean":
        return {"t": True, "f": False, 1: True, 0: False}[value]
    document = json.loads(value)
    return None if document is None else json.dumps(document)


def differences(world, table):
    columns = world.sql(
        "SELECT attname, atttypid::regtype::text FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0"
        " AND NOT attisdropped ORDER BY attnum", table)
    database = sqlite3.connect(f"file:{world.directory / 'there.sqlite'}?mode=ro", uri=True)
    try:
        names = ", ".join(f'"{name}"' for name, _ in columns)
        theirs = database.execute(f'SELECT {names} FROM "public.{table}"').fetchall()
    except sqlite3.OperationalError:
        return [f"{table}: not there"]
    finally:
        database.close()
    ours = etl.rows_of(world.cluster, world.source, table)

    def comparable(rows):
        return sorted((tuple(spelled(v, kind) for v, (_, kind) in zip(row, columns)) for row in rows), key=repr)

    ours, theirs = comparable(ours), comparable(theirs)
    missing, extra = etl.subtract(ours, theirs), etl.subtract(theirs, ours)
    return [f"{table}: missing {row}" for row in missing] + [f"{table}: too many {row}" for row in extra]


def assert_equal(world, *tables):
    found = [text for table in tables for text in differences(world, table)]
    assert not found, "\n".join(found[:20])


@pytest.mark.short
def test_the_example_holds_what_the_source_holds(world, pipeline):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, n numeric, body text); ALTER TABLE t ALTER body SET STORAGE EXTERNAL;"
              "INSERT INTO t SELECT n, n + 0.50, repeat('x', 3000) FROM generate_series(1, 2000) n")
    copier = pipeline()
    assert copier.once() == 0
    assert_equal(world, "t")
    world.sql("UPDATE t SET n = -n WHERE id % 2 = 0; UPDATE t SET id = id + 10000 WHERE id % 3 = 0;"
              "DELETE FROM t WHERE id % 7 = 0; ALTER TABLE t ADD later text; INSERT INTO t VALUES (0, 0, NULL, 'new')")
    assert copier.once() == 0
    assert_equal(world, "t")
    world.sql("TRUNCATE t; INSERT INTO t VALUES (1, 1, 'after')")
    assert copier.once() == 0
    assert_equal(world, "t")
    (world.directory / "there.sqlite").unlink()
    assert copier.once() == 0  # the table is made anew, and so copied again
    assert_equal(world, "t")


@pytest.mark.short
def test_random_writers_and_kills(world, pipeline):
    target = pipeline(copy={"chunk_size": "64KiB"})
    world.sql("SET timezone = 'UTC'")
    write_and_kill(world, target, seed_of_this_run(), SECONDS / 2)
    assert target.once(seconds=120) == 0
    assert_equal(world, *(set(TABLES) - {"wide"}))
    # A time is spelled otherwise in JSON than by the source.
    world.sql("ALTER TABLE wide DROP seen")
    database = sqlite3.connect(world.directory / "there.sqlite")
    assert database.execute('SELECT count(*), count(seen) FROM "public.wide"').fetchone() == tuple(
        world.sql("SELECT count(*), count(*) FROM wide")[0])
    database.close()
    assert_equal(world, "wide")


MISBEHAVING = """
import signal
import time
import etl_stream

class Destination:
    def __init__(self, settings): self.settings = settings
    def ensure_table(self, table): pass
    def durable(self): pass
    def close(self): pass
    def write(self, table, batch):
        if table["name"] != "bad": return
        if self.settings["how"] == "data": raise etl_stream.DataError("this table is not to my liking")
        if self.settings["how"] == "secret": raise ValueError(batch.rows)
        if self.settings["how"] == "deaf": signal.signal(signal.SIGRTMIN + 7, lambda *_: None)
        print("asleep", flush=True)
        while self.settings["how"] == "deaf": pass
        time.sleep(3600)

def open(config): return Destination(config["settings"])
"""


@pytest.fixture
def misbehaving(world, pipeline):
    module = world.directory / "misbehaving.py"
    module.write_text(MISBEHAVING)
    world.sql("CREATE TABLE bad (id int PRIMARY KEY, t text); CREATE TABLE good (id int PRIMARY KEY)")
    return lambda how, **sections: pipeline(module, {"how": how}, **sections)


def test_a_table_that_the_module_refuses_stops_alone(world, misbehaving):
    target = misbehaving("data")
    target.start()
    target.wait_streaming()
    world.sql("INSERT INTO bad VALUES (1, 'x')")
    target.wait_until(lambda: "this table is not to my liking" in target.process.text(), "the refusal")
    world.sql("INSERT INTO good SELECT generate_series(1, 100)")
    target.wait_confirmed()
    target.stop()


def test_what_an_exception_says_stays_out_of_the_log(world, misbehaving):
    target = misbehaving("secret")
    target.start()
    target.wait_streaming()
    before = target.wal_end()
    world.sql("INSERT INTO bad VALUES (1, 'hunter2')")
    target.wait_until(lambda: "Python raised ValueError at misbehaving.py:" in target.process.text(), "the exception")
    assert "hunter2" not in target.process.text()
    assert not target.confirmed(target.wal_end()), before
    target.process.terminate()


@pytest.mark.parametrize("how", ["hang", "deaf"])
def test_a_module_that_hangs_holds_up_neither_the_end_nor_the_slot(world, misbehaving, how):
    """A deaf one cannot even be interrupted."""
    target = misbehaving(how, shutdown_timeout="2s")
    target.start()
    target.wait_streaming()
    world.sql("INSERT INTO bad VALUES (1, 'x')")
    after = target.wal_end()
    target.wait_until(lambda: "asleep" in target.process.text(), "the module hangs")
    started = time.monotonic()
    target.process.terminate()
    assert time.monotonic() - started < 4 * etl.PATIENCE
    assert not target.confirmed(after)


@pytest.mark.parametrize("module, code, said", [
    ("import no_such_package", "python.package", "the Python package no_such_package is not in"),
    ("def open(config): return 1", "python.protocol", "what open() returns has no ensure_table()"),
    ("def open(config) return 1", "python.script", "SyntaxError in"),
    (None, "python.refused", "cannot be read"),
])
def test_a_module_that_does_not_do_is_named(world, pipeline, module, code, said):
    world.sql("CREATE TABLE t (id int PRIMARY KEY)")
    file = world.directory / "module.py"
    if module:
        file.write_text(module + "\n")
    exit_code, text = pipeline(file, {}).run_to_end()
    assert exit_code == 1
    assert code in text
    assert said in text
