"""Replica identity: which old values come along decides what can be replicated, and nothing is lost in silence."""

import sys

import pytest

from support import duckdb_file, files
from support.etl import Pipeline
from support.writers import SECONDS, Writer, seed_of_this_run, write_and_kill

both = pytest.mark.parametrize("to", ["postgres", "file"])

TOAST = "(SELECT string_agg(md5((n * {0})::text), '') FROM generate_series(1, 100) n)"
LARGE = f"{TOAST.format('m.n')}, json_build_object('a', {TOAST.format('m.n')}), ARRAY[{TOAST.format('m.n')}, 'x'], {TOAST.format('m.n')}::bytea"
TABLE = (
    "CREATE TABLE {0} (id int NOT NULL, other int NOT NULL, n int, body text, document json, list text[], raw bytea);"
    "ALTER TABLE {0} ALTER body SET STORAGE EXTERNAL, ALTER document SET STORAGE EXTERNAL,"
    " ALTER list SET STORAGE EXTERNAL, ALTER raw SET STORAGE EXTERNAL;"
    "INSERT INTO {0} SELECT n, n, n, " + LARGE + " FROM generate_series(1, 20) m(n);"
)
KEYS = {
    "primary key": "ALTER TABLE {0} ADD PRIMARY KEY (id)",
    "unique index": "CREATE UNIQUE INDEX {0}_key ON {0} (other, id)",
    "deferrable key": "ALTER TABLE {0} ADD PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED",
    "no key": "",
}
# What becomes of updates and deletes. "refused" is PostgreSQL's own word at the source; where the publication is ours
# it does not publish them, so the source may do them and the destination keeps the inserts.
IDENTITIES = {
    ("DEFAULT", "primary key"): "replicated",
    ("DEFAULT", "deferrable key"): "inserts only",
    ("DEFAULT", "no key"): "inserts only",
    ("USING INDEX {0}_key", "unique index"): "replicated",
    ("FULL", "primary key"): "replicated",
    ("FULL", "deferrable key"): "replicated",
    ("FULL", "unique index"): "replicated",
    ("FULL", "no key"): "replicated",
    ("NOTHING", "primary key"): "inserts only",
    ("NOTHING", "no key"): "inserts only",
}
# Text, JSON, array and bytea values are out of line and stay as they are in most of these.
CHANGES = {
    "update": "UPDATE {0} SET n = n + 100 WHERE id <= 5",
    "update of a large value": "UPDATE {0} SET body = 'short' WHERE id BETWEEN 9 AND 10",
    "key change": "UPDATE {0} SET id = id + 1000, other = other + 2000 WHERE id BETWEEN 6 AND 8",
    "delete": "DELETE FROM {0} WHERE id BETWEEN 11 AND 13",
}


@both
def test_case_11_case_12_identities_and_unchanged_values(world, to):
    tables = {}
    for number, ((identity, key), outcome) in enumerate(IDENTITIES.items()):
        table = f"t{number}"
        tables[table] = outcome
        world.sql((TABLE + KEYS[key]).format(table))
        world.sql(f"ALTER TABLE {table} REPLICA IDENTITY {identity}".format(table))
    pipeline = world.started(to, *tables)
    kept = {table: {row for row in pipeline.destination_rows(table) if row[0] != "14"} for table in tables}
    for table, outcome in tables.items():
        for change in CHANGES.values():
            world.sql(change.format(table))
        world.sql(f"INSERT INTO {table} SELECT n, n, n, {LARGE} FROM generate_series(101, 102) m(n)")
        world.transaction(
            f"INSERT INTO {table} SELECT n, n, 0, {LARGE} FROM generate_series(30, 30) m(n)",
            f"UPDATE {table} SET n = 1 WHERE id = 30",
            f"UPDATE {table} SET id = 31, other = 31 WHERE id = 30",
            f"UPDATE {table} SET n = 2 WHERE id = 31",
            f"DELETE FROM {table} WHERE id = 14",
            f"INSERT INTO {table} (id, other, n) VALUES (14, 14, 5)",
            f"UPDATE {table} SET n = 6 WHERE id = 14",
        )
    whole = [table for table, outcome in tables.items() if outcome == "replicated"]
    pipeline.wait_equal(*whole)
    pipeline.wait_confirmed()
    text = pipeline.process.text()
    for table, outcome in tables.items():
        if outcome == "replicated":
            assert f'"{table}' not in "".join(line for line in text.splitlines() if '"warning"' in line)
            continue
        # Everything that was there and every row inserted since, just as it was inserted (14 came twice).
        rows = set(pipeline.destination_rows(table))
        assert kept[table] <= rows, table
        assert {row[0] for row in rows} == {str(n) for n in [*range(1, 21), 30, 101, 102]}, table
        said = [line for line in text.splitlines() if f'\\"{table}\\"' in line and '"left_out":"updates, deletes"' in line]
        assert len(said) == 1, said
    pipeline.stop()
    pipeline.assert_equal(*whole)


def test_case_13_a_table_without_key_is_copied_and_inserted(world):
    world.sql("CREATE TABLE t (n int, body text); INSERT INTO t SELECT n / 2, 'x' FROM generate_series(1, 1000) n")
    pipeline = world.started("postgres", "t")
    world.sql("INSERT INTO t SELECT n / 2, 'x' FROM generate_series(1, 1000) n")  # exact duplicates are rows, too
    pipeline.wait_equal("t")
    world.sql("UPDATE t SET body = 'y' WHERE n = 1")  # allowed at the source, and not published
    world.sql("INSERT INTO t VALUES (-1, '')")
    pipeline.wait_until(lambda: world.there("SELECT 1 FROM t WHERE n = -1"), "the insert")
    assert world.there("SELECT count(*) FROM t WHERE body = 'y'") == [(0,)]
    assert pipeline.process.text().count('"left_out":"updates, deletes"') == 1
    pipeline.stop()


@both
def test_case_12_full_rows_are_told_apart_by_their_text(world, to):
    """Types without equality, and types whose equality is not identity; exactly one of equal rows goes."""
    extension = "CREATE EXTENSION citext; CREATE DOMAIN short AS varchar(9); CREATE TYPE pair AS (a int, b text)"
    world.sql(extension)
    if to == "postgres":
        world.there(extension)
    world.sql(
        "CREATE TABLE t (c citext, n numeric, x xml, j json, p point, b box, w path, q jsonpath, ps point[], js json[],"
        " f float8, s short, e pair, i interval, a char(4));"
        "ALTER TABLE t REPLICA IDENTITY FULL;"
        "INSERT INTO t SELECT c, n, '<a>x</a>', '{\"a\":  1}', '(1,2)', '(1,2),(3,4)', '((1,2),(3,4))', '$.a', '{\"(1,2)\"}',"
        " '{\"{}\",NULL}', f, 'short', ROW(NULL, '')::pair, i, 'ab'"
        " FROM (VALUES ('word'), ('WORD'), ('Word')) c(c), (VALUES (1.0), (1.00), (NULL)) n(n), (VALUES (0.0), ('-0')) f(f),"
        " (VALUES ('24:00:00'::interval), ('1 day')) i(i), generate_series(1, 2);"
    )
    pipeline = world.started(to, "t")
    one = "WHERE ctid = (SELECT ctid FROM t WHERE c::text = '{}' AND n::text = '{}' AND f::text = '{}' LIMIT 1)"
    world.sql(f"UPDATE t SET a = 'new' {one.format('WORD', '1.00', '-0')}")
    world.sql(f"UPDATE t SET c = 'WORD' {one.format('word', '1.0', '0')}")
    world.sql(f"DELETE FROM t {one.format('Word', '1.0', '-0')}")
    world.sql("DELETE FROM t WHERE ctid = (SELECT ctid FROM t WHERE n IS NULL LIMIT 1)")
    pipeline.wait_equal("t")
    world.transaction(
        "INSERT INTO t (c, n) VALUES ('twin', 1), ('twin', 1), ('Twin', 1)",
        "DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t WHERE c = 'twin')",
        "UPDATE t SET e = NULL WHERE i = '1 day'",
        "UPDATE t SET n = n * 10, j = NULL",
        "DELETE FROM t WHERE f::text = '-0'",
    )
    pipeline.wait_equal("t")
    world.sql("INSERT INTO t (n) SELECT n % 50 FROM generate_series(1, 1000) n; UPDATE t SET a = 'z' WHERE n < 25")
    pipeline.wait_equal("t")
    assert len(pipeline.destination_rows("t")) > 500
    pipeline.stop()
    pipeline.assert_equal("t")


@both
@pytest.mark.parametrize("killed", [False, True])
def test_case_12_rows_without_key_that_change_while_they_are_copied(world, to, killed):
    rows = 60_000
    world.sql(
        "CREATE TABLE t (n int, body text); ALTER TABLE t REPLICA IDENTITY FULL;"
        f"INSERT INTO t SELECT n / 2, repeat('x', 100) FROM generate_series(1, {rows}) n"
    )
    pipeline = world.pipeline(to, copy={"workers": 1, "chunk_size": "64KiB"}, batch={"max_fill": "20ms"})

    def copied():
        return world.copied(pipeline, "t")

    process = pipeline.start()
    with process.paused_when(copied, "the first piece"):
        assert copied() < rows, "the copy was over"
        for where in ("n % 100 = 0", "n < 10", f"n > {rows // 2 - 10}"):  # rows of pieces before and behind
            world.sql(f"UPDATE t SET body = 'changed' WHERE {where}; DELETE FROM t WHERE {where} AND n % 3 = 0")
        world.transaction("INSERT INTO t VALUES (-1, 'new'), (-1, 'new'), (-2, '')", "DELETE FROM t WHERE n = -2")
        world.sql("DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t WHERE n = -1)")
    if killed:
        pipeline.kill()
        pipeline.start()
    pipeline.wait_equal("t", seconds=60)
    world.sql("DELETE FROM t WHERE n = -1; UPDATE t SET body = '' WHERE n % 1000 = 1")
    pipeline.wait_equal("t")
    pipeline.stop()


def test_case_12_more_changes_than_fit_stop_the_table_alone(world):
    world.sql(
        "CREATE TABLE t (n int, body text); ALTER TABLE t REPLICA IDENTITY FULL;"
        "INSERT INTO t SELECT n, repeat('x', 100) FROM generate_series(1, 60000) n; CREATE TABLE u (id int PRIMARY KEY)"
    )
    pipeline = world.pipeline(copy={"workers": 1, "chunk_size": "64KiB", "max_memory": "1MiB"}, batch={"max_fill": "20ms"})
    process = pipeline.start()
    there = "SELECT to_regclass('t') IS NOT NULL"
    with process.paused_when(lambda: world.there(there)[0][0] and world.there("SELECT count(*) FROM t")[0][0], "the first piece"):
        world.sql("UPDATE t SET body = 'changed'; INSERT INTO u VALUES (1)")
    pipeline.wait_equal("u")
    pipeline.wait_until(lambda: "copy.max_memory" in process.text(), "an explanation")
    pipeline.stop()
    assert pipeline.once() == 0
    pipeline.assert_equal("t", "u")


def test_case_12_a_destination_that_finds_rows_by_key_only_stops_that_table_alone(world):
    world.sql(
        "CREATE TABLE keyless (n int, v int); ALTER TABLE keyless REPLICA IDENTITY FULL; INSERT INTO keyless VALUES (1, 1);"
        "CREATE TABLE t (id int PRIMARY KEY, n int)"
    )
    path = world.directory / "warehouse.duckdb"
    to = {"type": "duckdb", "path": str(path)}
    pipeline = Pipeline(world.directory, (world.cluster, world.source), path, destination=to, python={"venv": sys.prefix})
    world.pipelines.append(pipeline)
    assert pipeline.once() == 0
    world.sql("INSERT INTO keyless VALUES (2, 2); UPDATE keyless SET v = 3; INSERT INTO t VALUES (1, 1)")
    assert pipeline.once() == 1
    assert "ALTER TABLE \\\"public\\\".\\\"keyless\\\" REPLICA IDENTITY USING INDEX" in pipeline.process.text()
    assert duckdb_file.rows(path, "t") == [("1", "1")]
    assert duckdb_file.rows(path, "keyless") == [("1", "1"), ("2", "2")]
    assert pipeline.once() == 0  # copied afresh
    assert duckdb_file.rows(path, "keyless") == [("1", "3"), ("2", "3")]


class BagWriter(Writer):
    """Changes rows of a table without a key, in which most rows have equals."""

    def statement(self):
        value, other = self.random.randrange(60), self.random.randrange(60)
        one = f"ctid IN (SELECT ctid FROM bag WHERE n = {value} LIMIT {self.random.choice((1, 1, 2, 5))})"
        kind = self.random.choices(("insert", "update", "move", "delete", "many", "truncate"), (30, 20, 15, 20, 2, 0.2))[0]
        return {
            "insert": f"INSERT INTO bag SELECT {value}, NULL, {self.text()} FROM generate_series(1, 3)",
            "update": f"UPDATE bag SET v = '{other}.0' WHERE {one}",
            "move": f"UPDATE bag SET n = {other} WHERE {one}",
            "delete": f"DELETE FROM bag WHERE {one}",
            "many": f"UPDATE bag SET v = v + 1 WHERE n = {value}",
            "truncate": "TRUNCATE bag",
        }[kind]


@both
def test_case_12_random_changes_of_rows_without_key_and_kills(world, to):
    world.sql(
        "CREATE TABLE bag (n int, v numeric, body text); ALTER TABLE bag ALTER body SET STORAGE EXTERNAL, REPLICA IDENTITY FULL;"
        "INSERT INTO bag SELECT n % 60, n % 3, repeat(md5((n % 9)::text), 1 + 89 * (n % 2)) FROM generate_series(1, 6000) n"
    )
    pipeline = world.pipeline(to, copy={"chunk_size": "64KiB"})
    seed = seed_of_this_run()
    bag = BagWriter(world, seed, "of the bag")
    write_and_kill(world, pipeline, seed, SECONDS / 6, writers=1, disturber=bag)
    assert not bag.failure
    assert bag.committed > 100
    pipeline.start()
    pipeline.wait_equal("bag", seconds=60)
    pipeline.stop()
    assert "table stopped" not in pipeline.process.text()
