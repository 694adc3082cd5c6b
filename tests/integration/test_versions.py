"""What differs between PostgreSQL 14 and 18. Each test asks the server what it is; none is left out on any version."""

import pytest

from support.etl import wait_until
from support.postgres import VERSION, server_programs

pytestmark = pytest.mark.matrix


def version(world):
    return int(world.sql("SELECT current_setting('server_version_num')")[0][0]) // 10000


def test_the_server_is_the_one_that_was_asked_for(world):
    assert version(world) == int(VERSION or server_programs().parent.name)


def test_failover_slot(world):
    world.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    pipeline = world.pipeline(source={"failover_slot": True})
    if version(world) < 17:
        code, text = pipeline.run_to_end()
        assert code == 1 and "source.failover_slot" in text
        assert world.sql("SELECT count(*) FROM pg_replication_slots") == [(0,)]
        return
    pipeline.start()
    pipeline.wait_equal("t")
    assert world.sql("SELECT failover FROM pg_replication_slots WHERE slot_name = %s", pipeline.slot) == [(True,)]
    pipeline.stop()


@pytest.fixture
def setting(world):
    """Sets a server setting for the time of the test."""
    names = []

    def set_to(name, value):
        names.append(name)
        world.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        world.sql("SELECT pg_reload_conf()")

    yield set_to
    for name in names:
        world.sql(f"ALTER SYSTEM RESET {name}")
    world.sql("SELECT pg_reload_conf()")


def test_invalidated_slot_says_why(world, setting):
    world.sql("CREATE TABLE t (id int PRIMARY KEY)")
    pipeline = world.pipeline()
    pipeline.start()
    pipeline.wait_equal("t")
    pipeline.stop()
    reason = "idle_replication_slot_timeout" if version(world) >= 18 else "max_slot_wal_keep_size"
    setting(reason, "1s" if version(world) >= 18 else "1MB")

    def lost():
        world.sql("CREATE TABLE IF NOT EXISTS filler (n int); INSERT INTO filler SELECT generate_series(1, 1000)")
        world.sql("SELECT pg_switch_wal()")
        world.sql("CHECKPOINT")
        query = "SELECT wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = %s"
        return world.sql(query, pipeline.slot)[0][0]

    wait_until(lost, "the slot is invalidated", 60)
    code, text = pipeline.run_to_end()
    assert code == 1
    for word in ("slot.invalidated", pipeline.slot, reason, "pg_drop_replication_slot"):
        assert word in text
