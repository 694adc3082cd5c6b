"""Case 22: what a publication leaves out stays out, of the copy as of the stream, and nothing else does."""

import pytest

from support import files
from support.etl import column_list, rows_of

both = pytest.mark.parametrize("to", ["postgres", "file"])
BODY = "(SELECT string_agg(md5((n * {0})::text), '') FROM generate_series(1, 100) n)"  # stored out of line


def filters(world):
    """Whether the server has row filters and column lists."""
    return int(world.sql("SELECT current_setting('server_version_num')")[0][0]) >= 150000


class Published:
    """A table as its publication shows it, at the source and at the destination."""

    def __init__(self, world, pipeline, table, columns, where="true"):
        self.world, self.pipeline, self.table, self.columns, self.where = world, pipeline, table, columns, where

    def expected(self):
        selected = ", ".join(f"{column}::text" for column in self.columns)
        return sorted(self.world.sql(f"SELECT {selected} FROM {self.table} WHERE {self.where}"), key=repr)

    def arrived(self):
        if isinstance(self.pipeline.to, tuple):
            return rows_of(*self.pipeline.to, self.table, self.columns)
        order = [name for name, _, _ in files.columns_of(self.world.cluster, self.world.source, self.table)]
        rows = files.current_rows(self.pipeline.to, self.table, self.world.cluster, self.world.source)
        return sorted((tuple(row[order.index(c)] for c in self.columns) for row in rows), key=repr)

    def wait_equal(self):
        self.pipeline.wait_until(lambda: self.arrived() == self.expected(), f"{self.table} as it is published")
        assert self.expected(), "nothing to compare"


@both
@pytest.mark.short
@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
@pytest.mark.matrix
def test_row_filter_and_column_list(world, to, identity):
    world.sql(
        "CREATE TABLE t (a text, id int PRIMARY KEY, n int, secret text DEFAULT 'secret', body text);"
        f"ALTER TABLE t REPLICA IDENTITY {identity}, ALTER body SET STORAGE EXTERNAL;"
        f"INSERT INTO t SELECT 'a', n, n, 'secret', {BODY.format('m.n')} FROM generate_series(1, 200) m(n)"
    )
    # With FULL every column is part of the identity, and a list would leave out some.
    listed = "(id, n, body)" if filters(world) and identity == "DEFAULT" else ""
    where = "WHERE (id > 100)" if filters(world) else ""
    pipeline = world.pipeline(to)
    world.sql(f"CREATE PUBLICATION {pipeline.publication} FOR TABLE t {listed} {where}")
    columns = ["id", "n", "body"] if listed else ["a", "id", "n", "secret", "body"]
    t = Published(world, pipeline, "t", columns, "id > 100" if where else "true")
    pipeline.start()
    t.wait_equal()
    world.sql("UPDATE t SET n = n + 1000 WHERE id % 3 = 0")
    world.sql("UPDATE t SET id = id + 1000 WHERE id <= 10")  # into the filter, with an unchanged value out of line
    world.sql("UPDATE t SET id = id + 1000, n = 0 WHERE id = 11; UPDATE t SET n = n + 1, a = 'b' WHERE id = 1011")
    world.sql("UPDATE t SET id = id - 2000 WHERE id BETWEEN 120 AND 130")  # out of it
    world.sql("UPDATE t SET id = -id - 2000 WHERE id BETWEEN 20 AND 30; UPDATE t SET id = -id WHERE id < -2000")
    world.sql(f"INSERT INTO t SELECT 'a', n, n, 'new', {BODY.format(7)} FROM generate_series(-5, 1) n")
    world.sql("DELETE FROM t WHERE id % 10 = 5")
    t.wait_equal()
    if to == "postgres" and listed:
        assert column_list(world.cluster, world.destination, "t") == columns
    pipeline.kill()
    world.sql("UPDATE t SET id = id + 5000 WHERE id BETWEEN 40 AND 50; UPDATE t SET n = -1 WHERE id = 5041")
    pipeline.start()
    t.wait_equal()
    pipeline.stop()
    t.wait_equal()


@both
@pytest.mark.matrix
def test_several_publications_with_different_filters(world, to):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t SELECT n, n FROM generate_series(1, 100) n")
    pipeline = world.pipeline(to)
    low, high = ("WHERE (id < 20)", "WHERE (id > 80)") if filters(world) else ("", "")
    where = "id < 20 OR id > 80" if low else "true"
    world.sql(f"CREATE PUBLICATION {pipeline.publication} FOR TABLE t {low}")
    world.sql(f"CREATE PUBLICATION {pipeline.publication}_inserts FOR TABLE t {high}")
    t = Published(world, pipeline, "t", ["id", "n"], where)
    pipeline.start()
    t.wait_equal()
    world.sql("UPDATE t SET id = id + 1000 WHERE id BETWEEN 15 AND 25; UPDATE t SET id = id - 1000 WHERE id > 1018")
    world.sql("UPDATE t SET n = -n; DELETE FROM t WHERE id IN (5, 50, 95)")
    t.wait_equal()
    pipeline.stop()


@both
@pytest.mark.parametrize("publish", ["insert", "insert, update", "insert, delete", "update, delete", "insert, truncate"])
def test_publish_some_operations_only(world, to, publish):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE witness (id int PRIMARY KEY)")
    world.sql("INSERT INTO t SELECT n, n FROM generate_series(1, 100) n")
    pipeline = world.pipeline(to)
    world.sql(f"CREATE PUBLICATION {pipeline.publication} FOR TABLE t WITH (publish = '{publish}')")
    world.sql(f"CREATE PUBLICATION {pipeline.publication}_inserts FOR TABLE witness")
    pipeline.start()
    expected = {n: n for n in range(1, 101)} if "insert" in publish else {}

    def caught_up(number):
        world.sql("INSERT INTO witness VALUES (%s)", number)
        pipeline.wait_equal("witness")
        rows = Published(world, pipeline, "t", ["id", "n"]).arrived() or []
        assert {int(id): int(n) for id, n in rows} == expected

    pipeline.wait_until(lambda: pipeline.differences("witness") == [], "the copy")
    pipeline.wait_until(lambda: len(pipeline.destination_rows("t") or []) == len(expected), "the copy")
    caught_up(1)
    world.sql("INSERT INTO t VALUES (200, 200), (201, 201); UPDATE t SET n = -1 WHERE id IN (1, 200); DELETE FROM t WHERE id = 2")
    world.sql("INSERT INTO t VALUES (2, 22)")  # at the destination the key may still be there
    if "insert" in publish:
        expected.update({200: 200, 201: 201, 2: 22})
    if "update" in publish:  # an update of a row that the destination has never had brings it
        expected.update({1: -1, 200: -1})
    caught_up(2)
    world.sql("DELETE FROM t WHERE id = 200")
    if "delete" in publish:
        expected.pop(200, None)
    caught_up(3)
    world.sql("TRUNCATE t")
    if "truncate" in publish:
        expected.clear()
    caught_up(4)
    text = pipeline.process.text()
    for operation in ("insert", "update", "delete", "truncate"):
        assert (f"{operation}s" in text.split('"left_out"')[1].split("copied")[0]) == (operation not in publish)
    pipeline.stop()


@both
@pytest.mark.short
def test_rows_that_move_unpublished_while_they_are_copied(world, to):
    """An UPDATE that is not published may carry a row from pages that the copy has not read to pages that it has."""
    rows = 20_000
    world.sql("CREATE TABLE t (id int PRIMARY KEY, body text)")
    world.sql(f"INSERT INTO t SELECT n, repeat('x', 100) FROM generate_series(1, {rows}) n; DELETE FROM t WHERE id <= 2000")
    world.sql("VACUUM t")  # room on the first pages
    pipeline = world.pipeline(to, copy={"workers": 1, "chunk_size": "64KiB"}, batch={"max_fill": "20ms"})
    world.sql(f"CREATE PUBLICATION {pipeline.publication} FOR TABLE t WITH (publish = 'insert')")
    process = pipeline.start()
    arrived = Published(world, pipeline, "t", ["id"]).arrived
    with process.paused_when(lambda: len(arrived() or []) > 0, "the first rows"):
        before = len(arrived())
        world.sql("UPDATE t SET body = repeat('y', 100) WHERE id > 18000")  # to the first pages
        world.sql("INSERT INTO t VALUES (1, 'new')")
        assert world.sql("SELECT count(*) FROM t WHERE ctid < '(30,0)' AND id > 18000")[0][0] > 0
    pipeline.wait_until(lambda: len(arrived()) >= rows - 2000 + 1, "every row")
    assert before < rows - 2000, "the copy was over before the rows moved"
    assert arrived() == sorted(((str(n),) for n in (1, *range(2001, rows + 1))), key=repr)
    pipeline.stop()


@both
@pytest.mark.matrix
def test_all_tables_and_tables_in_schema(world, to):
    kind = "TABLES IN SCHEMA sales" if filters(world) else "ALL TABLES"
    world.sql("CREATE SCHEMA sales; CREATE TABLE sales.t (id int PRIMARY KEY); INSERT INTO sales.t VALUES (1)")
    world.sql("CREATE TABLE other (id int PRIMARY KEY)")
    pipeline = world.pipeline(to, source={"tables": ["sales.*"]})
    world.sql(f"CREATE PUBLICATION {pipeline.publication} FOR {kind}")
    pipeline.start()
    pipeline.wait_equal("sales.t")
    world.sql("CREATE TABLE sales.later (id int PRIMARY KEY, n int); INSERT INTO sales.later VALUES (1, 1)")
    world.sql("INSERT INTO sales.t VALUES (2); INSERT INTO other VALUES (1); UPDATE sales.later SET n = 2")
    pipeline.wait_equal("sales.t", "sales.later")
    pipeline.stop()
    if to == "postgres":
        assert world.there("SELECT to_regclass('other')") == [(None,)]
