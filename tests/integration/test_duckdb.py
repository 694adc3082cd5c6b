"""The DuckDB destination: types, schema changes, history, and random writers with SIGKILL at random moments."""

import os
import sys

import duckdb
import pytest

from support import duckdb_file
from support.etl import Pipeline, rows_of, subtract
from support.writers import TABLES, seed_of_this_run, write_and_kill


@pytest.fixture
def to_duckdb(world):
    def make(mode="current", destination_columns=None, **sections):
        path = world.directory / "warehouse.duckdb"
        pipeline = Pipeline(world.directory, (world.cluster, world.source), path, "p",
                            destination={"type": "duckdb", "path": str(path), "mode": mode, "columns": destination_columns or {}},
                            python={"venv": sys.prefix}, **sections)
        world.pipelines.append(pipeline)
        return pipeline

    return make


def assert_equal(world, pipeline, *tables):
    for table in tables:
        ours = rows_of(world.cluster, world.source, table)
        theirs = duckdb_file.rows(pipeline.to, table)
        assert theirs is not None, f"{table} is not there"
        assert (subtract(ours, theirs)[:3], subtract(theirs, ours)[:3]) == ([], []), table


def test_copy_then_stream(world, to_duckdb):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, body text); ALTER TABLE t ALTER body SET STORAGE EXTERNAL;"
              "INSERT INTO t SELECT n, repeat(md5(n::text), 90) FROM generate_series(1, 500) n;"
              "CREATE TABLE log (line text); INSERT INTO log VALUES ('one'), ('one')")
    pipeline = to_duckdb()
    assert pipeline.once() == 0
    assert_equal(world, pipeline, "t", "log")
    world.sql("INSERT INTO t VALUES (1000, 'new'); UPDATE t SET body = 'short' WHERE id = 1;"
              "UPDATE t SET id = id + 2000 WHERE id BETWEEN 2 AND 9; DELETE FROM t WHERE id = 10;"
              "INSERT INTO log VALUES ('one')")
    assert pipeline.once() == 0
    assert_equal(world, pipeline, "t", "log")
    world.sql("TRUNCATE t, log; INSERT INTO t VALUES (1, 'after')")
    assert pipeline.once() == 0
    assert_equal(world, pipeline, "t", "log")


def test_types(world, to_duckdb):
    columns = {
        "flag": ("boolean", "true", "BOOLEAN", "true"),
        "small": ("smallint", "-32768", "SMALLINT", "-32768"),
        "large": ("bigint", "9223372036854775807", "BIGINT", "9223372036854775807"),
        "number": ("oid", "4294967295", "UINTEGER", "4294967295"),
        "r": ("real", "'NaN'", "FLOAT", "nan"),
        "d": ("double precision", "'-Infinity'", "DOUBLE", "-inf"),
        "price": ("numeric(10,2)", "-12345678.90", "DECIMAL(10,2)", "-12345678.90"),
        "huge": ("numeric(38,0)", "-" + "9" * 38, "DECIMAL(38,0)", "-" + "9" * 38),
        "tiny": ("numeric(3,5)", "0.00123", "DECIMAL(5,5)", ".00123"),
        "free": ("numeric", "1" * 50 + ".10", "VARCHAR", "1" * 50 + ".10"),
        "word": ("varchar(20)", "'ä€😀'", "VARCHAR", "ä€😀"),
        "bytes": ("bytea", r"'\x00ff'", "BLOB", r"\x00\xFF"),
        "old": ("date", "'0044-03-15 BC'", "DATE", "0044-03-15 (BC)"),
        "never": ("date", "'infinity'", "DATE", "infinity"),
        "hour": ("time", "'24:00:00'", "TIME", "24:00:00"),
        "here": ("timestamp", "'-infinity'", "TIMESTAMP", "-infinity"),
        "there": ("timestamptz", "'2026-01-02 03:04:05.123456+02'", "TIMESTAMP WITH TIME ZONE",
                  "2026-01-02 01:04:05.123456+00"),
        "span": ("interval", "'1 year 2 mons -3 days -04:05:06.789'", "INTERVAL", "1 year 2 months -3 days -04:05:06.789"),
        "name": ("uuid", "'00112233-4455-6677-8899-aabbccddeeff'", "UUID", "00112233-4455-6677-8899-aabbccddeeff"),
        "doc": ("jsonb", "'{\"n\": " + "7" * 40 + "}'", "JSON", '{"n": ' + "7" * 40 + "}"),
        "list": ("int[]", "'{1,NULL,-3}'", "INTEGER[]", "[1, NULL, -3]"),
        "words": ("text[]", "ARRAY['a,b', NULL, '']", "VARCHAR[]", "['a,b', NULL, '']"),
        "prices": ("numeric(6,2)[]", "'{1.5,2}'", "DECIMAL(6,2)[]", "[1.50, 2.00]"),
        "none": ("int[]", "'{}'", "INTEGER[]", "[]"),
        "range": ("int4range", "'[1,5)'", "VARCHAR", "[1,5)"),
        "cash": ("money", "-3.50", "VARCHAR", "-$3.50"),
        "bits": ("bit(3)", "B'101'", "VARCHAR", "101"),
        "clock": ("timetz", "'12:00:00+02'", "VARCHAR", "12:00:00+02"),
        "padded": ("char(6)", "'ab'", "VARCHAR", "ab    "),
        "letter": ('"char"', "'a'", "VARCHAR", "a"),
        "markup": ("xml", "'<a>ä</a>'", "VARCHAR", "<a>ä</a>"),
        "raw": ("json", "'{\"b\":1,  \"a\":[1.10]}'", "JSON", '{"b":1,  "a":[1.10]}'),
        "wide": ("numeric(50,2)", "'NaN'", "VARCHAR", "NaN"),
        "minus": ("double precision", "'-0'", "DOUBLE", "-0.0"),
        "least": ("real", "1e-45", "FLOAT", "1e-45"),
        "place": ("point", "'(1.5,-2)'", "VARCHAR", "(1.5,-2)"),
        "net": ("inet", "'10.1.2.3/8'", "VARCHAR", "10.1.2.3/8"),
        "spans": ("int4multirange", "'{[1,3),[5,8)}'", "VARCHAR", "{[1,3),[5,8)}"),
        "vector": ("oidvector", "'1 2'", "VARCHAR", "1 2"),
        "state": ("mood", "'so so'", "VARCHAR", "so so"),
        "states": ("mood[]", "'{sad,NULL}'", "VARCHAR", "{sad,NULL}"),
        "cost": ("price", "1.5", "DECIMAL(10,3)", "1.500"),
        "both": ("pair", "ROW(NULL, '')", "VARCHAR", '(,"")'),
        "days": ("date[]", "'{2026-01-31,infinity}'", "DATE[]", "[2026-01-31, infinity]"),
        "blobs": ("bytea[]", r"ARRAY['\x00ff'::bytea]", "BLOB[]", r"['\\x00\\xFF']"),
        "zeros": ("float8[]", "'{-0,0}'", "DOUBLE[]", "[-0.0, 0.0]"),
        "flags": ("bool[]", "'{t,NULL,f}'", "BOOLEAN[]", "[true, NULL, false]"),
    }
    world.sql("CREATE TYPE mood AS ENUM ('sad', 'so so'); CREATE DOMAIN price AS numeric(10,3); CREATE TYPE pair AS (a int, b text)")
    definitions = ", ".join(f'"{name}" {kind}' for name, (kind, *_) in columns.items())
    values = ", ".join(value for _, value, *_ in columns.values())
    world.sql(f"CREATE TABLE t (id int PRIMARY KEY, {definitions}); INSERT INTO t VALUES (1, {values}); "
              "INSERT INTO t (id) VALUES (3)")
    pipeline = to_duckdb()
    assert pipeline.once() == 0
    world.sql(f"INSERT INTO t VALUES (2, {values})")
    assert pipeline.once() == 0
    kinds = dict(duckdb_file.query(pipeline.to, "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 't'"))
    texts = ", ".join(f'CAST("{name}" AS VARCHAR)' for name in columns)
    with duckdb.connect(str(pipeline.to), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        copied, streamed, empty = connection.execute(f"SELECT {texts} FROM public.t ORDER BY id").fetchall()
    wanted = {name: (kind, text) for name, (_, _, kind, text) in columns.items()}
    assert {name: (kinds[name], text) for name, text in zip(columns, copied)} == wanted
    assert streamed == copied
    assert set(empty) == {None}


@pytest.mark.parametrize("value", ["'{{1,2},{3,4}}'", "'[0:1]={1,2}'"])
def test_a_value_without_a_form_stops_its_table_alone(world, to_duckdb, value):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, list int[]); CREATE TABLE other (id int PRIMARY KEY)")
    pipeline = to_duckdb()
    pipeline.start()
    pipeline.wait_streaming()
    world.sql(f"INSERT INTO t VALUES (1, {value}); INSERT INTO other VALUES (1)")
    pipeline.wait_until(lambda: "data.unrepresentable" in pipeline.process.text(), "the table is stopped")
    pipeline.wait_confirmed()
    pipeline.stop()
    assert 'column \\"list\\" of \\"public\\".\\"t\\"' in pipeline.process.text()
    assert value not in pipeline.process.text()
    assert duckdb_file.rows(pipeline.to, "other") == [("1",)]


def test_a_row_that_lacks_values_keeps_those_that_it_has(world, to_duckdb):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, body text, zeros float8[]); ALTER TABLE t ALTER body SET STORAGE EXTERNAL;"
              "INSERT INTO t SELECT n, repeat('x', 9000), '{-0,0}' FROM generate_series(1, 3) n")
    pipeline = to_duckdb()
    assert pipeline.once() == 0
    world.sql("UPDATE t SET zeros = '{-0,1}' WHERE id < 3; UPDATE t SET zeros = '{2,-0}' WHERE id = 2;"
              "UPDATE t SET body = 'short' WHERE id = 1")
    assert pipeline.once() == 0
    rows = duckdb_file.query(pipeline.to, "SELECT id, length(body), zeros::VARCHAR FROM public.t ORDER BY id")
    assert rows == [(1, 5, "[-0.0, 1.0]"), (2, 9000, "[2.0, -0.0]"), (3, 9000, "[-0.0, 0.0]")]


def test_null_instead_of_a_value_without_a_form(world, to_duckdb):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, list int[], price numeric(5,2)); INSERT INTO t VALUES (1, '{{1}}', 'NaN')")
    pipeline = to_duckdb(destination_columns={"t.price": {"on_unrepresentable": "null"}, "t.list": {"on_unrepresentable": "null"}})
    assert pipeline.once() == 0
    world.sql("INSERT INTO t VALUES (2, '[2:3]={1,2}', 1.5), (3, '{1,2}', 'NaN')")
    assert pipeline.once() == 0
    assert duckdb_file.rows(pipeline.to, "t") == [("1", None, None), ("2", None, "1.50"), ("3", "{1,2}", None)]


def test_history_keeps_every_version(world, to_duckdb):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, n int, body text); ALTER TABLE t ALTER body SET STORAGE EXTERNAL;"
              "INSERT INTO t VALUES (1, 1, repeat('x', 9000))")
    pipeline = to_duckdb("history")
    assert pipeline.once() == 0
    world.sql("UPDATE t SET n = 2")
    world.sql("UPDATE t SET id = 5")
    world.sql("DELETE FROM t")
    world.sql("TRUNCATE t")
    assert pipeline.once() == 0
    rows = duckdb_file.query(
        pipeline.to, "SELECT _etl_operation, _etl_commit_time IS NULL, id, n, length(body), _etl_unchanged, _etl_old_key "
                     "FROM public.t ORDER BY _etl_position")
    assert rows == [
        ("copy", True, 1, 1, 9000, None, None),
        ("update", False, 1, 2, None, ["body"], None),
        ("rekey", False, 5, 2, None, ["body"], '{"id":1}'),
        ("remove", False, 5, None, None, None, None),
        ("truncate", True, None, None, None, None, None),
    ]


@pytest.mark.parametrize("running", [True, False])
def test_columns_change(world, to_duckdb, running):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, a int, b int); INSERT INTO t VALUES (1, 10, 20)")
    pipeline = to_duckdb()
    assert pipeline.once() == 0
    if running:
        pipeline.start()
        pipeline.wait_streaming()
    world.sql("INSERT INTO t VALUES (2, 11, 21); ALTER TABLE t RENAME a TO x; INSERT INTO t VALUES (3, 12, 22);"
              "ALTER TABLE t ADD d text; INSERT INTO t VALUES (4, 13, 23, 'new');"
              "ALTER TABLE t DROP b; INSERT INTO t VALUES (5, 14, 'last')")
    if running:
        pipeline.wait_confirmed()
        pipeline.stop()
    else:
        assert pipeline.once() == 0
    assert duckdb_file.query(pipeline.to, "SELECT id, x, b, d FROM public.t ORDER BY id") == [
        (1, 10, 20, None), (2, 11, 21, None), (3, 12, 22, None), (4, 13, 23, "new"), (5, 14, None, "last")]


def test_a_file_in_use_is_waited_for(world, to_duckdb):
    world.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    pipeline = to_duckdb()
    with duckdb.connect(str(pipeline.to)):
        pipeline.start("--once")
        pipeline.wait_until(lambda: f"is open in another process (PID {os.getpid()})" in pipeline.process.text(),
                            "the file is found in use")
    assert pipeline.process.wait() == 0
    assert_equal(world, pipeline, "t")


@pytest.mark.short
@pytest.mark.foreign_threads
def test_random_writers_and_kills(world, to_duckdb):
    pipeline = to_duckdb(copy={"chunk_size": "64KiB"})
    write_and_kill(world, pipeline, seed_of_this_run())
    pipeline.start()
    pipeline.wait_confirmed(seconds=90)
    pipeline.stop()
    assert_equal(world, pipeline, *TABLES)
