"""The cases that a correct system passes, by number: set up, act, expect. Kills are SIGKILL, at a moment that the test
proves: the destination's table is locked, so the program is in the middle of its write."""

import time

import pytest

from support import files
from support.etl import PATIENCE
from support.postgres import Cluster

SANITIZED = PATIENCE > 1
both = pytest.mark.parametrize("to", ["postgres", "file"])


ROWS = 150_000


def filled(world):
    """A table that takes a while to copy in small chunks."""
    world.sql(
        "CREATE TABLE big (id bigint PRIMARY KEY, body text NOT NULL);"
        f"INSERT INTO big SELECT n, repeat('x', 100) FROM generate_series(1, {ROWS}) n;"
    )


def copied_rows(world, pipeline, table="big"):
    if isinstance(pipeline.to, tuple):
        if world.there("SELECT to_regclass(%s) IS NULL", table)[0][0]:
            return 0
        return world.there(f"SELECT count(*) FROM {table}")[0][0]
    return files.row_versions(pipeline.to, table)


@both
@pytest.mark.short
def test_case_01_transaction_open_when_the_copy_starts(world, to):
    filled(world)
    pipeline = world.pipeline(to, copy={"workers": 1, "chunk_size": "64KiB"}, batch={"max_fill": "20ms"})
    world.make_slot(pipeline)  # making one waits for open transactions
    session = world.session()
    cursor = session.cursor()
    cursor.execute("INSERT INTO big SELECT n, 'open' FROM generate_series(1000001, 1000050) n")
    cursor.execute("UPDATE big SET body = 'changed' WHERE id % 1000 = 7")
    cursor.execute("DELETE FROM big WHERE id % 1000 = 8")
    process = pipeline.start()
    with process.paused_when(lambda: copied_rows(world, pipeline) > 0, "the first chunk"):
        assert copied_rows(world, pipeline) < ROWS, "the copy was over before the commit"
        session.commit()
    pipeline.wait_equal("big", seconds=60)
    pipeline.stop()
    pipeline.assert_equal("big")
    if to == "file":
        files.assert_each_position_once(pipeline.to)


@both
@pytest.mark.short
def test_case_02_interleaved_transactions_and_a_stop(world, to):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, who text); CREATE TABLE plain (id int, who text)")
    pipeline = world.pipeline(to)
    pipeline.start()
    pipeline.wait_streaming()
    a, b = world.session(), world.session()
    with a.cursor() as cursor:
        cursor.execute("INSERT INTO t SELECT n, 'a' FROM generate_series(1, 5) n")
        cursor.execute("INSERT INTO plain SELECT n, 'a' FROM generate_series(1, 5) n")
    with b.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (100, 'b')")
        cursor.execute("INSERT INTO plain VALUES (100, 'b')")
    b.commit()
    with a.cursor() as cursor:
        cursor.execute("INSERT INTO t SELECT n, 'a' FROM generate_series(6, 10) n")
        cursor.execute("INSERT INTO plain SELECT n, 'a' FROM generate_series(6, 10) n")
    pipeline.wait_equal("t", "plain")
    pipeline.stop()
    a.commit()
    pipeline.start()
    pipeline.wait_equal("t", "plain")
    assert len(pipeline.destination_rows("t")) == 11
    pipeline.stop()


@pytest.mark.short
@pytest.mark.parametrize("restart", ["after the release", "before the release"])
@pytest.mark.parametrize("max_rows", [10, 10_000])
def test_case_03_killed_in_the_middle_of_a_transaction(world, restart, max_rows):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE plain (n int)")
    pipeline = world.pipeline(batch={"max_rows": max_rows})
    pipeline.start()
    world.sql("INSERT INTO t VALUES (0, 0); INSERT INTO plain VALUES (0)")
    pipeline.wait_equal("t", "plain")
    with world.frozen("plain"):
        session = world.session()
        with session.cursor() as cursor:
            for n in range(1, 26):
                cursor.execute("INSERT INTO t VALUES (%s, %s)", (n, n))
                cursor.execute("INSERT INTO plain VALUES (%s)", (n,))
        session.commit()
        world.wait_blocked("plain")
        pipeline.kill()
        if restart == "before the release":  # the killed process's server session is still at work
            waiting = "SELECT count(*) > 1 FROM pg_stat_activity WHERE datname = %s AND application_name <> 'etl tests'"
            pipeline.start()
            pipeline.wait_until(lambda: world.there(waiting, world.destination)[0][0], "the next process's session")
    if restart == "after the release":
        pipeline.start()
    pipeline.wait_equal("t", "plain")
    pipeline.wait_confirmed()
    pipeline.stop()
    pipeline.assert_equal("t", "plain")


def test_case_03_killed_in_the_middle_of_a_transaction_to_files(world):
    world.sql("CREATE TABLE plain (n int)")
    pipeline = world.pipeline("file", batch={"max_rows": 10})
    pipeline.start()
    world.sql("INSERT INTO plain VALUES (0)")
    pipeline.wait_equal("plain")
    for first in range(1, 1001, 50):
        world.sql(f"INSERT INTO plain SELECT generate_series({first}, {first + 49})")
        before = copied_rows(world, pipeline, "plain")
        pipeline.wait_until(lambda: copied_rows(world, pipeline, "plain") > before, "rows of the transaction")
        pipeline.kill()
        pipeline.start()
    pipeline.wait_equal("plain")
    pipeline.wait_confirmed()
    pipeline.stop()
    pipeline.assert_equal("plain")
    files.assert_each_position_once(pipeline.to)


@pytest.mark.short
def test_case_04_killed_at_row_10_of_20_that_share_one_commit(world):
    world.sql("CREATE TABLE first (n int); CREATE TABLE second (n int)")  # without keys: a row written twice shows
    pipeline = world.pipeline(batch={"max_rows": 10})
    pipeline.start()
    world.sql("INSERT INTO first VALUES (0); INSERT INTO second VALUES (0)")
    pipeline.wait_equal("first", "second")
    with world.frozen("second"):
        session = world.session()
        with session.cursor() as cursor:
            cursor.execute("INSERT INTO first SELECT generate_series(1, 10)")
            cursor.execute("INSERT INTO second SELECT generate_series(11, 20)")
        session.commit()
        world.wait_blocked("second")
        pipeline.kill()
    pipeline.start()
    pipeline.wait_equal("first", "second")
    pipeline.wait_confirmed()
    pipeline.stop()
    pipeline.assert_equal("first", "second")


@both
def test_case_05_stopped_while_a_transaction_is_open(world, to):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (0, 0)")
    pipeline = world.pipeline(to)
    pipeline.start()
    pipeline.wait_equal("t")
    session = world.session()
    cursor = session.cursor()
    cursor.execute("INSERT INTO t VALUES (1, 1), (2, 2)")
    world.sql("INSERT INTO t VALUES (10, 1)")
    pipeline.wait_equal("t")
    pipeline.stop()
    cursor.execute("UPDATE t SET n = 3 WHERE id = 1; INSERT INTO t VALUES (3, 3)")
    world.sql("INSERT INTO t VALUES (11, 1)")
    session.commit()
    world.sql("UPDATE t SET n = 4 WHERE id = 3")
    pipeline.start()
    pipeline.wait_equal("t")
    pipeline.stop()
    if to == "file":
        streamed = [row["id"] for row in files.history(pipeline.to, "t") if row["_etl_operation"] != "copy"]
        assert streamed == ["10", "11", "1", "2", "1", "3", "3"]


@both
def test_case_06_state_deleted_slot_kept(world, to):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE plain (n int); INSERT INTO plain VALUES (0)")
    pipeline = world.pipeline(to)
    pipeline.start()
    pipeline.wait_equal("t", "plain")
    world.sql("INSERT INTO t SELECT n, n FROM generate_series(1, 100) n; INSERT INTO plain VALUES (1)")
    pipeline.wait_equal("t", "plain")
    pipeline.stop()
    for path in world.directory.glob("p.db*"):
        path.unlink()
    world.sql("INSERT INTO t SELECT n, n FROM generate_series(101, 200) n; INSERT INTO plain VALUES (2)")
    world.sql("UPDATE t SET n = -n WHERE id % 3 = 0; DELETE FROM t WHERE id % 7 = 0")
    pipeline.start()
    pipeline.wait_equal("t", "plain")
    pipeline.stop()
    pipeline.assert_equal("t", "plain")


@both
@pytest.mark.parametrize("act", ["recreated", "advanced", "dropped"])
def test_case_07_slot_and_state_do_not_fit(world, act, to):
    world.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    pipeline = world.pipeline(to)
    pipeline.start()
    pipeline.wait_equal("t")
    pipeline.wait_confirmed()
    pipeline.stop()
    if act != "advanced":
        world.sql("SELECT pg_drop_replication_slot(%s)", pipeline.slot)
    world.sql("INSERT INTO t VALUES (2)")  # nobody would ever see it again
    if act == "recreated":
        world.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", pipeline.slot)
    elif act == "advanced":
        world.sql("SELECT pg_replication_slot_advance(%s, pg_current_wal_insert_lsn())", pipeline.slot)
    code, text = pipeline.run_to_end()
    assert code == 1
    assert pipeline.slot in text
    assert len(pipeline.destination_rows("t")) == 1


@pytest.mark.parametrize("where", ["outside the publication", "another database"])
def test_case_08_other_writes_free_wal(world, where):
    world.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int, body text)")
    pipeline = world.pipeline(source={"tables": ["t"], "heartbeat": "500ms"})
    pipeline.start()
    pipeline.wait_streaming()
    database = world.source
    if where == "another database":
        database = world.destination
        world.there("CREATE TABLE other (id int, body text)")
    for _ in range(3):
        world.cluster.sql(database, "INSERT INTO other SELECT n, repeat('x', 100) FROM generate_series(1, 10000) n")
    pipeline.wait_confirmed()
    # restart_lsn is what holds WAL back; it moves with the running-transactions records that a checkpoint writes.
    before = pipeline.wal_end()
    world.cluster.sql("postgres", "CHECKPOINT")

    def freed():
        world.cluster.sql("postgres", "CHECKPOINT")
        query = "SELECT restart_lsn >= %s FROM pg_replication_slots WHERE slot_name = %s"
        return world.sql(query, before, pipeline.slot)[0][0]

    pipeline.wait_until(freed, "restart_lsn moves on")
    pipeline.stop()


@both
def test_case_09_server_shuts_down_while_streaming(world, to):
    server = Cluster().start()
    try:
        server.create_database("shop")
        server.sql("shop", "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
        pipeline = world.pipeline(to, source={"url": server.url("shop")})
        pipeline.cluster, pipeline.database = server, "shop"
        pipeline.start()
        pipeline.wait_equal("t")
        for row in (2, 3):
            server.sql("shop", "INSERT INTO t VALUES (%s)", row)
            server.stop("fast", seconds=20)  # raises when the client does not let go
            time.sleep(0.5)  # not a synchronisation: a server that is away for a moment
            pipeline.process.check_alive()
            server.start()
            server.sql("shop", "INSERT INTO t VALUES (%s)", -row)
            pipeline.wait_equal("t", seconds=60)
        pipeline.stop()
    finally:
        for pipeline in world.pipelines:
            pipeline.clean_up()
        server.remove()


@both
@pytest.mark.short
@pytest.mark.matrix
def test_case_10_connection_killed_and_a_column_added(world, to):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, 'one')")
    pipeline = world.pipeline(to)
    pipeline.start()
    pipeline.wait_equal("t")
    world.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s", pipeline.slot)
    world.sql("ALTER TABLE t ADD COLUMN b int; INSERT INTO t VALUES (2, 'two', 22)")
    pipeline.wait_equal("t")
    world.sql("UPDATE t SET b = 11 WHERE id = 1")
    pipeline.wait_equal("t")
    pipeline.stop()


@both
@pytest.mark.short
@pytest.mark.matrix
def test_case_23_savepoints_and_prepared_transactions(world, to):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, n int)")
    pipeline = world.pipeline(to)
    pipeline.start()
    pipeline.wait_streaming()
    session = world.session()
    with session.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (1, 1)")
        cursor.execute("SAVEPOINT a; INSERT INTO t VALUES (2, 2); UPDATE t SET n = 99 WHERE id = 1")
        cursor.execute("SAVEPOINT b; INSERT INTO t VALUES (3, 3); ROLLBACK TO b; INSERT INTO t VALUES (4, 4)")
        cursor.execute("ROLLBACK TO a; INSERT INTO t VALUES (5, 5); SAVEPOINT c; INSERT INTO t VALUES (6, 6); RELEASE c")
    session.commit()
    with session.cursor() as cursor:
        cursor.execute("INSERT INTO t SELECT n, n FROM generate_series(100, 110) n")
        cursor.execute("SAVEPOINT a; DELETE FROM t WHERE id = 5; RELEASE a")
        cursor.execute(f"PREPARE TRANSACTION '{world.source} kept'")
    session.rollback()
    with session.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (7, 7)")
        cursor.execute(f"PREPARE TRANSACTION '{world.source} dropped'")
    session.close()
    world.sql("INSERT INTO t VALUES (8, 8)")
    pipeline.wait_equal("t")
    assert len(pipeline.destination_rows("t")) == 4
    world.sql(f"ROLLBACK PREPARED '{world.source} dropped'")
    pipeline.kill()
    world.sql(f"COMMIT PREPARED '{world.source} kept'")
    pipeline.start()
    pipeline.wait_equal("t")
    assert len(pipeline.destination_rows("t")) == 4 - 1 + 11
    pipeline.stop()


@both
@pytest.mark.skipif(SANITIZED, reason="a sanitizer's own memory is not what is measured")
def test_case_23_large_transaction_in_bounded_memory(world, to):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, body text)")
    pipeline = world.pipeline(to)
    process = pipeline.start()
    pipeline.wait_streaming()
    rows = 1_000_000
    world.sql(f"INSERT INTO t SELECT n, repeat('x', 100) FROM generate_series(1, {rows}) n")
    pipeline.wait_confirmed(seconds=180)
    assert process.peak_memory() < 128 << 20
    assert copied_rows(world, pipeline, "t") == rows
    pipeline.stop()


def neighbours(world, observer, one, other):
    """Commits two open transactions; whether the second's commit record begins where the first's ends."""
    one.commit()
    other.commit()
    messages = world.sql(
        "SELECT data FROM pg_logical_slot_get_binary_changes(%s, NULL, NULL, 'proto_version', '1',"
        " 'publication_names', (SELECT string_agg(quote_ident(pubname), ',') FROM pg_publication))",
        observer,
    )
    ends = [bytes(m[0])[10:18] for m in messages if bytes(m[0])[:1] == b"C"]
    begins = [bytes(m[0])[1:9] for m in messages if bytes(m[0])[:1] == b"B"]
    return len(ends) == 2 and ends[0] == begins[1]


def test_case_24_commit_and_begin_share_an_lsn(world):
    world.sql("CREATE TABLE first (n int); CREATE TABLE second (n int)")
    pipeline = world.pipeline()
    pipeline.start()
    world.sql("INSERT INTO first VALUES (0); INSERT INTO second VALUES (0)")
    pipeline.wait_equal("first", "second")
    observer = f"{world.source}_observer"
    world.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", observer)
    for attempt in range(1, 21):
        one, other = world.session(), world.session()
        with one.cursor() as cursor:
            cursor.execute("INSERT INTO first SELECT generate_series(1, 10)")
        with other.cursor() as cursor:
            cursor.execute("INSERT INTO second SELECT generate_series(11, 20)")
        with world.frozen("second"):
            shared = neighbours(world, observer, one, other)
            world.wait_blocked("second")
            pipeline.kill()
        pipeline.start()
        pipeline.wait_equal("first", "second")
        if shared:  # a page boundary or another record between the two makes no neighbours: once more
            break
    else:
        pytest.fail("no two transactions shared an LSN")
    world.sql("SELECT pg_drop_replication_slot(%s)", observer)
    pipeline.stop()
    pipeline.assert_equal("first", "second")
