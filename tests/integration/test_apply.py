"""What arrives is what the source did: keys, unchanged TOAST values, TRUNCATE, whole transactions, repairs."""

import pytest

from support.etl import wait_until

both = pytest.mark.parametrize("to", ["postgres", "file"])


@both
@pytest.mark.short
@pytest.mark.matrix
def test_key_changes(world, to):
    world.sql(
        "CREATE TABLE t (a int, b text, body text, PRIMARY KEY (b, a));"
        "INSERT INTO t SELECT n, 'k' || n, 'body ' || n FROM generate_series(1, 50) n"
    )
    pipeline = world.started(to, "t")
    world.sql("UPDATE t SET a = a + 1000 WHERE a <= 10")
    world.sql("UPDATE t SET b = upper(b), body = 'new' WHERE a BETWEEN 11 AND 20")
    world.transaction(  # two keys swapped through a parking value
        "UPDATE t SET a = -1, b = 'parked' WHERE a = 21",
        "UPDATE t SET a = 21, b = 'k21' WHERE a = 22",
        "UPDATE t SET a = 22, b = 'k22' WHERE a = -1",
    )
    world.transaction("DELETE FROM t WHERE a = 23", "INSERT INTO t VALUES (23, 'k23', 'again')")
    world.transaction(
        "UPDATE t SET a = 124 WHERE a = 24",
        "INSERT INTO t VALUES (24, 'k24', 'newcomer')",
        "DELETE FROM t WHERE a = 124",
    )
    world.transaction("INSERT INTO t VALUES (60, 'k60', '')", "UPDATE t SET a = 61 WHERE a = 60", "DELETE FROM t WHERE a = 61")
    pipeline.wait_equal("t")
    pipeline.stop()
    pipeline.assert_equal("t")


@both
@pytest.mark.matrix
def test_keys_that_change_their_spelling_only(world, to):
    world.sql("CREATE TABLE t (id numeric PRIMARY KEY, n int); INSERT INTO t VALUES (1.0, 1), (2.50, 2)")
    pipeline = world.started(to, "t")
    world.sql("UPDATE t SET id = 1.00, n = 10 WHERE id = 1")
    world.sql("UPDATE t SET id = 2.5 WHERE id = 2.5")
    pipeline.wait_equal("t")
    pipeline.stop()


TOAST = "(SELECT string_agg(md5((n * {0})::text), '') FROM generate_series(1, 400) n)"


@both
@pytest.mark.short
@pytest.mark.parametrize("identity", ["DEFAULT", "FULL", "USING INDEX other_key"])
@pytest.mark.matrix
def test_unchanged_toast_values(world, to, identity):
    world.sql(
        "CREATE TABLE t (id int PRIMARY KEY, other int NOT NULL, n int, body text, document json, list text[], raw bytea);"
        "CREATE UNIQUE INDEX other_key ON t (other);"
        "ALTER TABLE t ALTER body SET STORAGE EXTERNAL, ALTER document SET STORAGE EXTERNAL,"
        " ALTER list SET STORAGE EXTERNAL, ALTER raw SET STORAGE EXTERNAL;"
        f"ALTER TABLE t REPLICA IDENTITY {identity};"
        f"INSERT INTO t SELECT n, n, n, {TOAST.format('m.n')}, json_build_object('a', {TOAST.format('m.n')}),"
        f" ARRAY[{TOAST.format('m.n')}, 'x'], {TOAST.format('m.n')}::bytea FROM generate_series(1, 20) m(n)"
    )
    pipeline = world.started(to, "t")
    world.sql("UPDATE t SET n = n + 100 WHERE id <= 5")
    world.sql("UPDATE t SET id = id + 1000, other = other + 1000 WHERE id BETWEEN 6 AND 8")
    world.sql("UPDATE t SET body = 'short' WHERE id BETWEEN 9 AND 10")
    world.transaction(
        f"INSERT INTO t SELECT 30, 30, 0, {TOAST.format(7)}, NULL, NULL, NULL",
        "UPDATE t SET n = 1 WHERE id = 30",
        "UPDATE t SET id = 31, other = 31 WHERE id = 30",
        "UPDATE t SET n = 2 WHERE id = 31",
    )
    world.transaction(
        "UPDATE t SET n = -1 WHERE id = 11",
        "DELETE FROM t WHERE id = 11",
        "INSERT INTO t (id, other, n) VALUES (11, 11, 5)",
        "UPDATE t SET n = 6 WHERE id = 11",
    )
    pipeline.wait_equal("t")
    pipeline.stop()
    pipeline.assert_equal("t")


@both
@pytest.mark.matrix
def test_truncate_is_an_event_in_order(world, to):
    world.sql(
        "CREATE TABLE parent (id int PRIMARY KEY, n int); CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent);"
        "CREATE TABLE other (id serial PRIMARY KEY, n int);"
        "INSERT INTO parent SELECT n, n FROM generate_series(1, 10) n; INSERT INTO child VALUES (1, 1);"
        "INSERT INTO other (n) SELECT generate_series(1, 5)"
    )
    pipeline = world.started(to, "parent", "child", "other")
    world.transaction(
        "INSERT INTO other (n) VALUES (100)",
        "TRUNCATE other RESTART IDENTITY",
        "INSERT INTO other (n) VALUES (200), (201)",
        "UPDATE other SET n = 202 WHERE n = 201",
    )
    pipeline.wait_equal("other")
    world.transaction("TRUNCATE parent CASCADE", "INSERT INTO parent VALUES (1, 11)", "INSERT INTO child VALUES (5, 1)")
    pipeline.wait_equal("parent", "child", "other")
    world.transaction("TRUNCATE child, parent, other", "INSERT INTO other (n) VALUES (1)", "TRUNCATE other")
    pipeline.wait_equal("parent", "child", "other")
    assert pipeline.destination_rows("other") == []
    pipeline.stop()


@pytest.mark.matrix
def test_readers_never_see_half_a_transaction(world):
    world.sql(
        "CREATE TABLE a (id int PRIMARY KEY, n int); CREATE TABLE b (id int PRIMARY KEY, n int);"
        "INSERT INTO a SELECT n, 100 FROM generate_series(1, 10) n; INSERT INTO b SELECT n, 100 FROM generate_series(1, 10) n"
    )
    pipeline = world.started("postgres", "a", "b", batch={"max_rows": 3})
    session = world.session()
    for n in range(300):
        with session.cursor() as cursor:
            for _ in range(3):  # more rows than a batch holds
                cursor.execute("UPDATE a SET n = n - 1 WHERE id = %s", (n % 10 + 1,))
                cursor.execute("UPDATE b SET n = n + 1 WHERE id = %s", (n * 7 % 10 + 1,))
        session.commit()
        total = world.there("SELECT (SELECT sum(n) FROM a) + (SELECT sum(n) FROM b)")[0][0]
        assert total == 2000
    pipeline.wait_equal("a", "b")
    pipeline.stop()


def test_rows_that_somebody_else_changed_are_repaired(world):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t SELECT n, n FROM generate_series(1, 10) n")
    pipeline = world.started("postgres", "t")
    world.there("DELETE FROM t WHERE id <= 3; INSERT INTO t (id, n) VALUES (20, -1), (21, -1)")
    world.sql("UPDATE t SET n = n + 100 WHERE id <= 2")  # updates of missing rows
    world.sql("DELETE FROM t WHERE id = 3")  # a removal of a missing row
    world.sql("INSERT INTO t VALUES (20, 20), (21, 21), (22, 22)")  # rows already there
    pipeline.wait_equal("t")
    pipeline.stop()


def test_a_lost_answer_repeats_nothing(world):
    """The destination's session is ended while it commits: the program cannot know whether it did."""
    world.sql("CREATE TABLE plain (n int); CREATE TABLE t (id int PRIMARY KEY, n int)")
    pipeline = world.started("postgres", "plain", "t")
    for n in range(30):
        world.sql("INSERT INTO plain VALUES (%s); INSERT INTO t VALUES (%s, 0)", n, n)
        world.cluster.sql(
            "postgres",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND application_name <> 'etl tests'",
            world.destination,
        )
    pipeline.wait_equal("plain", "t", seconds=60)
    pipeline.stop()
    pipeline.assert_equal("plain", "t")


def test_a_destination_that_stands_still_costs_no_connection(world):
    """Standby status goes on while a write waits: PostgreSQL does not drop the client."""
    world.sql("CREATE TABLE t (id int PRIMARY KEY)")
    pipeline = world.pipeline(source={"url": world.cluster.url(world.source, options="-cwal_sender_timeout%3D2s")})
    pipeline.start()
    pipeline.wait_streaming()
    pipeline.wait_equal("t")
    query = (
        "SELECT pid, reply_time FROM pg_stat_replication JOIN pg_replication_slots ON active_pid = pid"
        " WHERE slot_name = %s AND state = 'streaming' AND reply_time IS NOT NULL"
    )
    pid = wait_until(lambda: world.sql(query, pipeline.slot), "the walsender has heard of it")[0][0]
    with world.frozen("t"):
        world.sql("INSERT INTO t SELECT generate_series(1, 10)")
        world.wait_blocked("t")
        began = world.sql("SELECT reply_time FROM pg_stat_replication WHERE pid = %s", pid)[0][0]
        query_replies = "SELECT reply_time > %s + interval '5 seconds' FROM pg_stat_replication WHERE pid = %s"

        def replied():
            row = world.sql(query_replies, began, pid)
            assert row, "PostgreSQL dropped the connection"
            return row[0][0]

        wait_until(replied, "replies for 5 s")
    pipeline.wait_equal("t")
    assert world.sql(query, pipeline.slot)[0][0] == pid
    pipeline.stop()


def test_a_slow_destination_is_confirmed_while_it_is_behind(world):
    """Else the source would keep WAL for as long as a backlog lasts, however much of it has arrived."""
    world.sql("CREATE TABLE t (id int PRIMARY KEY)")
    pipeline = world.started("postgres", "t", batch={"max_rows": 100})
    world.there(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.002); RETURN NEW; END';"
        "CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION slow();"
        "ALTER TABLE t ENABLE ALWAYS TRIGGER slow"
    )
    world.sql("INSERT INTO t SELECT generate_series(1, 50)")
    early = pipeline.wal_end()
    for first in range(100, 20_000, 100):
        world.sql("INSERT INTO t SELECT generate_series(%s, %s)", first, first + 99)
    pipeline.wait_confirmed(early)
    assert world.there("SELECT count(*) FROM t")[0][0] < 19_000, "the destination was not slow"
    pipeline.stop()


@both
@pytest.mark.matrix
def test_names_that_need_quotes(world, to):
    world.sql(
        'CREATE SCHEMA "Odd schema"; CREATE TABLE "Odd schema"."a.b""c" ("Id" int PRIMARY KEY, "select" text, "größe%" int);'
        'INSERT INTO "Odd schema"."a.b""c" VALUES (1, \'x\', 2);'
        "CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE \"T\" (id int PRIMARY KEY, n text)"
    )
    names = ['"Odd schema"."a.b""c"', "t", '"T"']
    pipeline = world.started(to, *names)
    world.sql('UPDATE "Odd schema"."a.b""c" SET "select" = \'y\'; INSERT INTO "Odd schema"."a.b""c" VALUES (2, NULL, NULL);')
    world.sql("INSERT INTO t VALUES (1, 1); INSERT INTO \"T\" VALUES (1, 'one')")
    pipeline.wait_equal(*names)
    pipeline.stop()


@pytest.mark.matrix
def test_chosen_tables_only(world):
    world.sql(
        "CREATE SCHEMA sales; CREATE TABLE sales.orders (id int PRIMARY KEY); CREATE TABLE sales.tmp_orders (id int PRIMARY KEY);"
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY);"
        "INSERT INTO sales.orders VALUES (1); INSERT INTO sales.tmp_orders VALUES (1); INSERT INTO t VALUES (1); INSERT INTO u VALUES (1)"
    )
    pipeline = world.started("postgres", "sales.orders", "t", source={"tables": ["sales.*", "!sales.tmp_*", "t"]})
    world.sql("INSERT INTO sales.tmp_orders VALUES (2); INSERT INTO u VALUES (2); INSERT INTO t VALUES (2)")
    pipeline.wait_equal("t")
    assert pipeline.destination_rows("u") is None
    assert pipeline.destination_rows("sales.tmp_orders") is None
    pipeline.stop()
