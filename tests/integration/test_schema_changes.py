"""Cases 10, 14 and 15 of schema changes: while it runs, while it is stopped, and across a SIGKILL.

Each step is SQL with rows before, between and after the changes; what arrives has to be what the source holds."""

import copy
import os
import random
import re
import sys
import time

import psycopg2
import pytest

from support import duckdb_file
from support.etl import Pipeline, column_list, rows_of
from support.snowflake_pipeline import SnowflakePipeline
from support.snowflake_standin import Standin
from support.writers import seed_of_this_run

WAYS = ("running", "stopped", "killed")


@pytest.fixture(params=WAYS)
def change(request, world):
    """Runs SQL against a pipeline that has copied its tables: while it streams, while it is stopped, or half of it
    before a SIGKILL and the other half after."""

    def make(pipeline, *steps):
        if request.param == "running":
            for step in steps:
                world.sql(step)
            return
        if request.param == "stopped":
            pipeline.stop()
            for step in steps:
                world.sql(step)
        else:
            half = (len(steps) + 1) // 2
            for step in steps[:half]:
                world.sql(step)
            pipeline.kill()
            for step in steps[half:]:
                world.sql(step)
        pipeline.start()

    return make


def started(world, schema, *tables, **sections):
    world.sql(schema)
    pipeline = world.pipeline(**sections)
    pipeline.start()
    pipeline.wait_equal(*(tables or ("t",)))
    return pipeline


CHANGES = {
    "added": ("ALTER TABLE t ADD plain int; INSERT INTO t (id, a) VALUES (10, 'a')",
              "ALTER TABLE t ADD constant text DEFAULT 'it''s', ADD list int[] NOT NULL DEFAULT '{1,NULL}'",
              "INSERT INTO t (id, a) VALUES (11, 'b')",
              "ALTER TABLE t ADD volatile uuid DEFAULT gen_random_uuid(); UPDATE t SET plain = 7 WHERE id = 2",
              "ALTER TABLE t ADD last int NOT NULL DEFAULT 4"),
    "dropped": ("INSERT INTO t VALUES (10, 'ten', 1); ALTER TABLE t DROP a; INSERT INTO t VALUES (11, 2)",
                "ALTER TABLE t ADD a text; UPDATE t SET n = n + 1 WHERE id < 3",
                "INSERT INTO t VALUES (12, 3, 'a')"),
    "added anew": ("ALTER TABLE t DROP n", "ALTER TABLE t ADD n int", "INSERT INTO t VALUES (10, 'ten', 10)"),
    "renamed": ("INSERT INTO t VALUES (10, 'ten', 1); ALTER TABLE t RENAME a TO b; INSERT INTO t VALUES (11, 'x', 2)",
                "ALTER TABLE t RENAME n TO a", "UPDATE t SET b = 'two' WHERE id = 2"),
    "swapped": ("ALTER TABLE t ADD c text; UPDATE t SET c = 'c' || id",
                "ALTER TABLE t RENAME a TO x; ALTER TABLE t RENAME c TO a; ALTER TABLE t RENAME x TO c",
                "INSERT INTO t VALUES (10, 'is c', 1, 'is a')"),
    "widened": ("ALTER TABLE t ALTER n TYPE bigint; INSERT INTO t VALUES (10, 'ten', 3000000000)",
                "ALTER TABLE t ALTER a TYPE varchar(50)", "INSERT INTO t VALUES (11, repeat('x', 50), 1)"),
    "computed": ("INSERT INTO t VALUES (10, 'ten', 1); ALTER TABLE t ALTER a TYPE int USING length(a) + id",
                 "INSERT INTO t VALUES (11, 5, 5)", "ALTER TABLE t ALTER n TYPE int USING -n"),
    "nulls": ("ALTER TABLE t ALTER n SET NOT NULL; INSERT INTO t VALUES (10, 'ten', 1)",
              "ALTER TABLE t ALTER n DROP NOT NULL", "INSERT INTO t VALUES (11, 'x', NULL)"),
    "key moved": ("INSERT INTO t VALUES (10, 'ten', 1); ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a);"
                  "INSERT INTO t VALUES (10, 'other', 2); UPDATE t SET n = 5 WHERE a = 'other'",
                  "DELETE FROM t WHERE a = 'ten'", "UPDATE t SET id = id + 1 WHERE id < 3"),
    "key is new": ("ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD k int GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
                   "INSERT INTO t VALUES (2, 'again', 1)", "UPDATE t SET id = 2"),
    "identity": ("CREATE UNIQUE INDEX by_a ON t (a); ALTER TABLE t REPLICA IDENTITY USING INDEX by_a;"
                 "UPDATE t SET n = 9 WHERE id = 1; UPDATE t SET a = 'renamed' WHERE id = 2",
                 "ALTER TABLE t DROP CONSTRAINT t_pkey; INSERT INTO t VALUES (1, 'twin', 1)",
                 "DELETE FROM t WHERE a = 'twin'; UPDATE t SET id = 1"),
    "full": ("ALTER TABLE t REPLICA IDENTITY FULL; UPDATE t SET n = 9 WHERE id = 1",
             "UPDATE t SET id = 100 WHERE id = 2", "ALTER TABLE t REPLICA IDENTITY DEFAULT; DELETE FROM t WHERE id = 3"),
}
TABLE = ("CREATE TABLE t (id int PRIMARY KEY, a varchar(20) NOT NULL, n int);"
         "INSERT INTO t SELECT n, 'row ' || n, n * 10 FROM generate_series(1, 5) n")


# What Snowflake cannot follow in place: these tables stop, and are complete after another start.
STOPS_AT_SNOWFLAKE = {"key moved", "key is new", "identity"}


class DuckDbPipeline(Pipeline):
    """Into a file, of which the columns count that the source has; it can be read while nobody writes it."""

    def __init__(self, directory, from_):
        path = directory / "warehouse.duckdb"
        super().__init__(directory, from_, path, "p", destination={"type": "duckdb", "path": str(path)},
                         python={"venv": sys.prefix})

    def differences(self, table):
        names = column_list(self.cluster, self.database, table)
        held = duckdb_file.query(self.to, f"SELECT {', '.join(names)} FROM public.{table}")
        theirs = sorted((tuple(map(duckdb_file.text_of, row)) for row in held), key=repr)
        ours = rows_of(self.cluster, self.database, table)
        return [] if ours == theirs else [f"{table}: {ours} there {theirs}"]


@pytest.fixture(params=["postgres", "file", "duckdb", "snowflake"])
def to(request, world):
    """The kind of destination, and a pipeline into one."""
    source = (world.cluster, world.source)
    if request.param in ("postgres", "file"):
        yield request.param, world.pipeline(request.param)
    elif request.param == "duckdb":
        world.pipelines.append(DuckDbPipeline(world.directory, source))
        yield request.param, world.pipelines[-1]
    else:
        with Standin() as standin:
            world.pipelines.append(SnowflakePipeline(world.directory, source, standin, "rest"))
            yield request.param, world.pipelines[-1]


def test_cases_14_and_15_columns_and_keys_change(world, to, change):
    """Every table goes through its changes; all of them in one pipeline."""
    kind, pipeline = to
    tables = {name: "t_" + name.replace(" ", "_") for name in CHANGES if (kind, name) != ("snowflake", "computed")}
    for name, table in tables.items():
        world.sql(re.sub(r"\bt\b", table, TABLE))
    pipeline.start()
    pipeline.wait_until(lambda: pipeline.process.text().count("table copied") == len(tables), "the tables are copied")
    if kind == "snowflake":  # its state follows the rows: after a kill it might not know yet that it has copied them
        pipeline.stop()
        pipeline.start()
    pipeline.wait_streaming()
    pipeline.wait_confirmed()
    change(pipeline, *(re.sub(r"\bt(_pkey)?\b", rf"{table}\1", re.sub("by_a", f"by_a_{table}", step))
                       for number in range(3) for name, table in tables.items() for step in CHANGES[name][number:number + 1]),
           "ALTER TABLE t_added ADD end_of_it int DEFAULT 1")
    if kind == "postgres":
        pipeline.wait_equal(*tables.values())  # while it runs
    pipeline.wait_confirmed()
    pipeline.stop()
    code = pipeline.once()
    stopped = {name for name, table in tables.items() if re.search(rf"table stopped.*{table}", pipeline.process.text())}
    if kind == "snowflake":
        assert stopped == STOPS_AT_SNOWFLAKE
        code = code and pipeline.once()
    else:
        assert stopped == set()
    assert code == 0
    pipeline.assert_equal(*tables.values())


def test_case_14_in_one_transaction_while_the_first_copy_runs(world):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t SELECT n, repeat('x', 500)"
              " FROM generate_series(1, 20000) n")
    pipeline = world.pipeline(copy={"chunk_size": "64KiB", "workers": 1})
    pipeline.start()
    pipeline.wait_until(lambda: world.there("SELECT count(*) FROM pg_class WHERE relname = 't'")[0][0]
                        and world.there("SELECT count(*) FROM t")[0][0] > 0, "the copy has begun")
    world.sql("INSERT INTO t VALUES (-1, 'one'); ALTER TABLE t ADD b int DEFAULT 7; INSERT INTO t VALUES (-2, 'two', 2);"
              "ALTER TABLE t RENAME a TO c; UPDATE t SET c = 'changed' WHERE id % 100 = 0; ALTER TABLE t DROP b;"
              "INSERT INTO t VALUES (-3, 'three'); ALTER TABLE t ALTER c TYPE int USING length(c); DELETE FROM t WHERE id = 5")
    assert world.there("SELECT count(*) FROM t")[0][0] < 20000, "the copy is over already"
    pipeline.wait_equal("t")
    world.sql("ALTER TABLE t ADD last uuid DEFAULT gen_random_uuid()")
    pipeline.wait_equal("t")
    pipeline.stop()


def test_tables_without_a_key_change(world, change):
    pipeline = started(world, "CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (1, 'x'), (2, 'y')")
    change(pipeline, "INSERT INTO t VALUES (3, 'z'); ALTER TABLE t ADD c uuid DEFAULT gen_random_uuid()",
           "ALTER TABLE t RENAME a TO d; INSERT INTO t VALUES (4, 'w'), (4, 'w')", "ALTER TABLE t DROP b",
           "ALTER TABLE t ADD id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY; ALTER PUBLICATION etl_stream_p_inserts"
           " SET (publish = 'insert, update, delete, truncate'); UPDATE t SET d = d + 1")
    pipeline.wait_equal("t")
    pipeline.stop()
    assert "table stopped" not in pipeline.process.text()


TWO = ("CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, 't');"
       "CREATE TABLE u (id int PRIMARY KEY, a text); INSERT INTO u VALUES (1, 'u')")


def test_tables_are_renamed_and_moved(world, change):
    pipeline = started(world, TWO, "t", "u", source={"tables": ["public.*", "moved.*"]})
    change(pipeline, "CREATE SCHEMA moved; INSERT INTO t VALUES (2, 'before'); ALTER TABLE t SET SCHEMA moved;"
           "INSERT INTO moved.t VALUES (3, 'after')", "ALTER TABLE moved.t RENAME TO v", "INSERT INTO u VALUES (2, 'x')")
    pipeline.wait_equal("moved.v", "u")
    pipeline.stop()
    assert world.there("SELECT relname FROM pg_class WHERE relname = 't'") == []
    assert pipeline.process.text().count("copied again") == 0


def test_two_tables_swap_their_names(world, change):
    pipeline = started(world, TWO, "t", "u")
    change(pipeline, "INSERT INTO t VALUES (2, 't'); ALTER TABLE t RENAME TO w; ALTER TABLE u RENAME TO t;"
           "INSERT INTO t VALUES (3, 'was u'); ALTER TABLE w RENAME TO u", "INSERT INTO t VALUES (4, 'was u')")
    pipeline.wait_equal("t", "u")
    world.sql("INSERT INTO u VALUES (9, 'was t')")
    pipeline.wait_equal("t", "u")
    pipeline.stop()
    assert world.there("SELECT count(*) FROM pg_class WHERE relname LIKE '%etl_stream_%'") == [(0,)]


def test_a_table_is_dropped_and_made_anew(world, change):
    world.sql("CREATE PUBLICATION etl_stream_p FOR ALL TABLES")
    pipeline = started(world, TWO, "t", "u")
    change(pipeline, "INSERT INTO t VALUES (2, 't')", "DROP TABLE t; CREATE TABLE t (a bigint, k text PRIMARY KEY, z int);"
           "INSERT INTO t VALUES (1, 'new', 3); INSERT INTO u VALUES (2, 'x')",
           "UPDATE t SET z = 4; INSERT INTO t VALUES (1, 'newer', 5)")
    pipeline.wait_equal("t", "u")
    pipeline.stop()
    assert "table stopped" not in pipeline.process.text()


@pytest.mark.parametrize("publication", ["FOR ALL TABLES", "FOR TABLES IN SCHEMA public, later", "FOR TABLE t, u"])
def test_new_tables_are_copied_without_a_restart(world, publication):
    world.sql("CREATE SCHEMA later; CREATE TABLE old (id int PRIMARY KEY); INSERT INTO old VALUES (1)")
    world.sql(f"{TWO}; CREATE PUBLICATION etl_stream_p {publication}")
    pipeline = world.pipeline()
    pipeline.start()
    pipeline.wait_equal("t", "u")
    world.sql("CREATE TABLE later.v (id int PRIMARY KEY, a text); INSERT INTO later.v VALUES (1, 'first')")
    if publication == "FOR TABLE t, u":
        world.sql("ALTER PUBLICATION etl_stream_p ADD TABLE later.v, old")
    pipeline.wait_equal("later.v", "old")  # without another row of them
    world.sql("INSERT INTO later.v VALUES (2, 'second'); DELETE FROM old")
    pipeline.wait_equal("later.v", "old")
    pipeline.stop()


def test_tables_that_leave_are_noted_once_and_come_back_complete(world):
    world.sql(f"{TWO}; CREATE PUBLICATION etl_stream_p FOR TABLE t, u")
    pipeline = world.pipeline()
    pipeline.start()
    pipeline.wait_equal("t", "u")
    world.sql("INSERT INTO t VALUES (2, 'last'); ALTER PUBLICATION etl_stream_p DROP TABLE t; INSERT INTO t VALUES (3, 'not')")
    noted = "it is replicated no more"
    pipeline.wait_until(lambda: noted in pipeline.process.text(), "it is noted")
    assert world.there("SELECT count(*) FROM t") == [(2,)]
    world.sql("DELETE FROM t WHERE id = 1; ALTER PUBLICATION etl_stream_p ADD TABLE t")
    pipeline.wait_equal("t")
    world.sql("DROP TABLE u; INSERT INTO t VALUES (4, 'goes on')")
    pipeline.wait_until(lambda: pipeline.process.text().count(noted) == 2, "it is noted")
    pipeline.stop()
    pipeline.start()
    pipeline.wait_equal("t")
    pipeline.wait_confirmed()
    pipeline.stop()
    assert pipeline.process.text().count(noted) == 2
    assert world.there("SELECT id, a FROM u") == [(1, "u")]


def test_a_table_that_cannot_follow_stops_alone_and_says_what_mends_it(world, change):
    pipeline = started(world, TWO, "t", "u")
    world.there("CREATE VIEW v AS SELECT a FROM t")
    change(pipeline, "INSERT INTO t VALUES (2, 'x'); ALTER TABLE t DROP a", "INSERT INTO t VALUES (3)",
           "INSERT INTO u VALUES (3, 'x')")
    pipeline.wait_until(lambda: "table stopped" in pipeline.process.text(), "the table is stopped")
    pipeline.wait_equal("u")
    pipeline.stop()
    assert 'ALTER TABLE \\"public\\".\\"t\\" DROP COLUMN \\"a\\";' in pipeline.process.text()
    world.there("DROP VIEW v; ALTER TABLE t DROP COLUMN a")
    pipeline.start()
    pipeline.wait_equal("t", "u")
    pipeline.stop()


class Changer:
    """Rows and changes of three tables, drawn from a seed: whatever is drawn fits what the tables are by now."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.number = 0
        self.columns = {}  # of each table
        self.large = {}

    def name(self, prefix):
        self.number += 1
        # Names come again, so that a new column may have a dropped one's.
        return f"{prefix}{self.random.randrange(6)}" if prefix == "c" else f"{prefix}{self.number}"

    def create(self):
        name = self.name("t")
        self.columns[name] = ["c0", "c1"]
        return (f"CREATE TABLE {name} (id int PRIMARY KEY, c0 text, c1 int);"
                f"INSERT INTO {name} SELECT n, md5(n::text), n FROM generate_series(1, {self.random.choice((3, 3000))}) n")

    def statement(self):
        draw = self.random
        table = draw.choice(sorted(self.columns))
        columns = self.columns[table]
        key = draw.randrange(1, 3100)
        kind = draw.choices(("insert", "update", "delete", "rekey", "add", "drop", "rename", "swap", "type", "table", "anew",
                             "vacuum", "truncate", "full"), (8, 14, 4, 4, 4, 3, 3, 2, 3, 1.5, 0.7, 1, 0.3, 1))[0]
        if kind == "insert":
            return f"INSERT INTO {table} (id) SELECT n FROM generate_series({key}, {key + 5}) n ON CONFLICT DO NOTHING"
        if kind == "update" and columns:
            return f"UPDATE {table} SET {draw.choice(columns)} = '{draw.randrange(10**6)}' WHERE id % 50 = {key % 50}"
        if kind == "delete":
            return f"DELETE FROM {table} WHERE id BETWEEN {key} AND {key + 3}"
        if kind == "rekey":
            return f"UPDATE {table} SET id = id + 100000 WHERE id = {key} AND NOT EXISTS (SELECT FROM {table} WHERE id = {key + 100000})"
        if kind == "add":
            column = self.name("c")
            if column in columns:
                return None
            columns.append(column)
            default = draw.choice(("", "DEFAULT 7", "DEFAULT (random() * 1000)::int", "NOT NULL DEFAULT 3"))
            return f"ALTER TABLE {table} ADD {column} {draw.choice(('int', 'text', 'bigint', 'numeric(12,2)'))} {default}"
        if kind == "drop" and columns:
            column = columns.pop(draw.randrange(len(columns)))
            return f"ALTER TABLE {table} DROP {column}"
        if kind == "rename" and columns:
            column = self.name("c")
            if column in columns:
                return None
            old = columns[at := draw.randrange(len(columns))]
            columns[at] = column
            return f"ALTER TABLE {table} RENAME {old} TO {column}"
        if kind == "swap" and len(columns) > 1:
            one, other = draw.sample(columns, 2)
            return (f"ALTER TABLE {table} RENAME {one} TO x; ALTER TABLE {table} RENAME {other} TO {one};"
                    f"ALTER TABLE {table} RENAME x TO {other}")
        if kind == "type" and columns:
            column = draw.choice(columns)
            kinds = {"int": f"(length({column}::text) + {key}) % 1000", "text": f"{column}::text", "numeric(14,2)": f"length({column}::text)"}
            new = draw.choice(sorted(kinds))
            return (f"ALTER TABLE {table} ALTER {column} DROP DEFAULT; ALTER TABLE {table} ALTER {column} TYPE {new} USING {kinds[new]}")
        if kind == "table":
            name = self.name("t")
            self.columns[name] = self.columns.pop(table)
            return f"ALTER TABLE {table} RENAME TO {name}"
        if kind == "anew":
            self.columns[table] = ["c0", "c1"]
            return (f"DROP TABLE {table}; CREATE TABLE {table} (id int PRIMARY KEY, c0 int, c1 text);"
                    f"INSERT INTO {table} SELECT n, n, 'anew' FROM generate_series(1, 500) n")
        if kind == "truncate":
            return f"TRUNCATE {table}"
        if kind == "full":
            return f"ALTER TABLE {table} REPLICA IDENTITY {draw.choice(('FULL', 'DEFAULT'))}"
        return None


def test_random_changes_and_kills(world):
    seed = seed_of_this_run()
    changer = Changer(seed)
    world.sql("CREATE PUBLICATION etl_stream_p FOR ALL TABLES")
    for _ in range(3):
        world.sql(changer.create())
    pipeline = world.pipeline(copy={"chunk_size": "64KiB"})
    limit = time.monotonic() + float(os.environ.get("ETL_RANDOM_SECONDS", "10"))
    pipeline.start()
    draw = changer.random
    while time.monotonic() < limit:
        before = copy.deepcopy(changer.columns)
        statements = [s for _ in range(draw.choice((1, 1, 1, 2, 4, 10))) if (s := changer.statement())]
        try:
            world.sql("; ".join(statements) or "SELECT")
        except (psycopg2.IntegrityError, psycopg2.DataError):
            changer.columns = before  # nothing of it has happened
        if pipeline.process.exit_code is not None:
            if draw.random() < 0.1:
                pipeline.start()
        elif draw.random() < 0.02:
            pipeline.process.check_alive()
            pipeline.stop() if draw.random() < 0.3 else pipeline.kill()
    if pipeline.process.exit_code is None:
        pipeline.kill()
    assert pipeline.once() == 0
    pipeline.assert_equal(*changer.columns)
    assert "table stopped" not in pipeline.process.text()
