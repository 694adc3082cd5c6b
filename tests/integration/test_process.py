"""The process: --once, signals, two processes on one pipeline, two pipelines in one process."""

import signal
import threading
import time

import pytest

from support.etl import PATIENCE, Process

both = pytest.mark.parametrize("to", ["postgres", "file"])


@both
@pytest.mark.short
def test_once_ends_when_everything_before_the_start_is_durable(world, to):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t SELECT n, n FROM generate_series(1, 20000) n")
    pipeline = world.pipeline(to)
    assert pipeline.once() == 0
    pipeline.assert_equal("t")
    world.sql("UPDATE t SET n = -n WHERE id % 2 = 0; DELETE FROM t WHERE id % 5 = 0; INSERT INTO t VALUES (0, 0)")
    assert pipeline.once() == 0
    pipeline.assert_equal("t")
    assert pipeline.once() == 0  # nothing to do
    pipeline.assert_equal("t")


def test_once_ends_though_the_source_goes_on(world):
    world.sql("CREATE TABLE t (id serial PRIMARY KEY, n int)")
    pipeline = world.pipeline()
    stop = threading.Event()

    def write():
        session = world.cluster.connect(world.source, autocommit=True)
        with session.cursor() as cursor:
            while not stop.is_set():
                cursor.execute("INSERT INTO t (n) SELECT generate_series(1, 10)")
        session.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(2):
            world.sql("INSERT INTO t (n) VALUES (-1)")
            expected = world.sql("SELECT max(id) FROM t WHERE n = -1")[0][0]
            assert pipeline.once() == 0
            assert world.there("SELECT count(*) FROM t WHERE id = %s", expected)[0][0] == 1
    finally:
        stop.set()
        writer.join()


def test_once_on_a_refused_pipeline_fails(world):
    world.sql("CREATE TABLE t (id int PRIMARY KEY)")
    pipeline = world.pipeline()
    world.sql("SELECT pg_create_physical_replication_slot(%s)", pipeline.slot)
    assert pipeline.once() == 1


@both
@pytest.mark.short
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_cleanly(world, to, number):
    world.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)")
    pipeline = world.pipeline(to)
    process = pipeline.start()
    pipeline.wait_equal("t")
    world.sql("INSERT INTO t SELECT generate_series(1001, 2000)")
    process.process.send_signal(number)
    assert process.wait(15) == 0
    assert pipeline.once() == 0
    pipeline.assert_equal("t")


def test_a_stop_does_not_wait_longer_than_asked(world):
    world.sql("CREATE TABLE t (id int PRIMARY KEY)")
    pipeline = world.pipeline(shutdown_timeout="1s")
    process = pipeline.start()
    pipeline.wait_equal("t")
    with world.frozen("t"):
        world.sql("INSERT INTO t SELECT generate_series(1, 10)")
        world.wait_blocked("t")
        began = time.monotonic()
        assert process.terminate() == 0
        assert time.monotonic() - began < 10 * PATIENCE  # the limit and a wide margin
    assert pipeline.once() == 0
    pipeline.assert_equal("t")


def test_a_second_signal_leaves_at_once(world):
    world.sql("CREATE TABLE t (id int PRIMARY KEY)")
    pipeline = world.pipeline(shutdown_timeout="10min")
    process = pipeline.start()
    pipeline.wait_equal("t")
    with world.frozen("t"):
        world.sql("INSERT INTO t SELECT generate_series(1, 10)")
        world.wait_blocked("t")
        process.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)  # two signals at once would be one
        process.process.send_signal(signal.SIGTERM)
        assert process.wait(20) != 0
    assert pipeline.once() == 0
    pipeline.assert_equal("t")


def test_stopped_and_killed_during_the_copy(world):
    world.sql("CREATE TABLE big (id int PRIMARY KEY, body text)")
    world.sql("INSERT INTO big SELECT n, repeat('x', 100) FROM generate_series(1, 100000) n")
    pipeline = world.pipeline(copy={"chunk_size": "64KiB"})

    def there():
        known = world.there("SELECT to_regclass('big') IS NOT NULL")[0][0]
        return world.there("SELECT count(*) FROM big")[0][0] if known else 0

    seen = 0
    for end in (pipeline.kill, pipeline.stop, pipeline.kill):
        pipeline.start()
        pipeline.wait_until(lambda: there() > seen, "more rows")
        end()
        assert there() >= seen, "the copy was started over"
        seen = there()
        world.sql("UPDATE big SET body = body || 'y' WHERE id % 1000 = 1")
    pipeline.start()
    pipeline.wait_equal("big", seconds=60)
    pipeline.stop()


def test_second_process_on_one_pipeline_is_refused(world):
    world.sql("CREATE TABLE t (id int PRIMARY KEY)")
    pipeline = world.pipeline()
    first = pipeline.start()
    pipeline.wait_equal("t")
    second = Process(world.directory / "second.log", ["run", pipeline.file])
    assert second.wait() == 1
    assert str(first.pid) in second.text()
    first.check_alive()
    world.sql("INSERT INTO t VALUES (1)")
    pipeline.wait_equal("t")
    pipeline.kill()
    pipeline.start()  # a killed owner holds nothing
    world.sql("INSERT INTO t VALUES (2)")
    pipeline.wait_equal("t")
    pipeline.stop()


@pytest.mark.parametrize("failure", ["passing", "final"])
def test_two_pipelines_one_fails(world, failure):
    world.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE TABLE u (id int PRIMARY KEY)")
    good = world.pipeline(name="good", source={"tables": ["t"]})
    bad = world.pipeline(name="bad", source={"tables": ["u"]})
    if failure == "passing":
        bad.configure(source={"url": "postgres://postgres@127.0.0.1:1/shop"})  # nobody listens
    else:
        world.sql("SELECT pg_create_physical_replication_slot(%s)", bad.slot)
    process = good.start(bad.file)
    good.wait_equal("t")
    good.wait_until(lambda: "bad" in process.text(), "the failure is logged")
    world.sql("INSERT INTO t VALUES (2)")
    good.wait_equal("t")
    code = process.terminate()
    assert code == (0 if failure == "passing" else 1)


@pytest.mark.short
def test_two_pipelines_in_one_process(world):
    world.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE TABLE u (id int PRIMARY KEY)")
    one = world.pipeline(name="one", source={"tables": ["t"]})
    two = world.pipeline("file", name="two", source={"tables": ["u"]})
    one.start(two.file)
    world.sql("INSERT INTO t VALUES (2); INSERT INTO u VALUES (1)")
    one.wait_equal("t")
    one.wait_until(lambda: not two.differences("u"), "the second pipeline's rows")
    assert one.process.terminate() == 0


def test_standard_output(world):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, s text); INSERT INTO t VALUES (1, 'one')")
    pipeline = world.pipeline("file", destination={"path": "-"})
    assert pipeline.once() == 0
    assert '"s":"one"' in pipeline.process.text()


@both
@pytest.mark.matrix
def test_a_slot_that_the_server_cannot_decode_is_made_anew(world, to):
    """A TRUNCATE that runs while the slot is made is missing in the slot's picture of the catalog (a flaw of the server):
    rows that another transaction then adds to the table can never be decoded."""
    world.sql("CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE other (id int PRIMARY KEY)")
    waits_for = "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid' AND transactionid = %s"

    def transaction(statement):
        session = world.session()
        with session.cursor() as cursor:
            cursor.execute(statement)
            cursor.execute("SELECT pg_current_xact_id()::xid")
            return session, cursor.fetchone()[0]

    oldest, oldest_xid = transaction("INSERT INTO other VALUES (1)")
    pipeline = world.pipeline(to)
    pipeline.start()
    pipeline.wait_until(lambda: world.sql(waits_for, oldest_xid)[0][0], "the new slot waits for the oldest transaction")
    truncating, truncating_xid = transaction("TRUNCATE t")
    oldest.commit()
    pipeline.wait_until(lambda: world.sql(waits_for, truncating_xid)[0][0], "the new slot waits for the TRUNCATE")
    adding, _ = transaction("INSERT INTO other VALUES (2)")
    pipeline.process.process.send_signal(signal.SIGSTOP)  # nothing comes from the slot before those rows
    truncating.commit()
    made = "SELECT count(*) = 1 FROM pg_replication_slots WHERE slot_name = %s AND confirmed_flush_lsn IS NOT NULL"
    pipeline.wait_until(lambda: world.sql(made, pipeline.slot)[0][0], "the slot is complete")
    with adding.cursor() as cursor:
        cursor.execute("INSERT INTO t SELECT n, n FROM generate_series(1, 10) n")
    adding.commit()
    pipeline.process.process.send_signal(signal.SIGCONT)
    pipeline.wait_equal("t", "other")
    pipeline.wait_confirmed()
    assert "slot.unlucky" in pipeline.process.text()
    pipeline.stop()
    pipeline.assert_equal("t", "other")
