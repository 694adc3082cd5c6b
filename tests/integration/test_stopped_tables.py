"""A table that cannot go on is given up alone, and copied afresh at the next start: nothing of it is missing then."""

import pytest


@pytest.mark.short
def test_a_value_that_the_destination_refuses_stops_that_table_only(world):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE u (id int PRIMARY KEY); INSERT INTO t VALUES (1, 1)")
    pipeline = world.pipeline()
    pipeline.start()
    pipeline.wait_equal("t", "u")
    world.there("ALTER TABLE t ADD CONSTRAINT small CHECK (n < 100)")
    world.sql("INSERT INTO t VALUES (2, 2000); INSERT INTO u VALUES (1)")
    pipeline.wait_equal("u")
    # Dropped while the table is stopped; only a fresh copy brings them, and takes the deleted one away.
    world.sql("INSERT INTO t VALUES (3, 3); DELETE FROM t WHERE id = 1; INSERT INTO u VALUES (2)")
    pipeline.wait_equal("u")
    pipeline.wait_confirmed()
    assert world.there("SELECT id FROM t") == [(1,)]
    assert "2000" not in pipeline.process.text()
    pipeline.stop()

    world.there("ALTER TABLE t DROP CONSTRAINT small")
    assert pipeline.once() == 0
    assert sorted(world.there("SELECT id, n FROM t")) == [(2, 2000), (3, 3)]


def test_once_says_by_its_exit_code_that_a_table_was_stopped(world):
    world.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1)")
    world.there("CREATE TABLE t (id text PRIMARY KEY)")
    pipeline = world.pipeline()
    assert pipeline.once() == 1
    assert "destination.column_type" in pipeline.process.text()
    assert world.there("SELECT id FROM u") == [(1,)]
    world.there("DROP TABLE t")
    assert pipeline.once() == 0
