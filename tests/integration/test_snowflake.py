"""etl-stream into the stand-in for Snowflake: exactly once whatever befalls either side, and nothing confirmed that the
service has not proven to hold. ETL_SEED replays a random run's statements, faults and moments."""

import json
import random
import re
import threading
import time

import pytest
from support.etl import PATIENCE, wait_until
from support.snowflake_pipeline import SnowflakePipeline
from support.snowflake_standin import Standin
from support.writers import SECONDS, TABLES, seed_of_this_run, write_and_kill

both = pytest.mark.parametrize("transport", ["rest", "sdk"])


@pytest.fixture
def snowflake():
    with Standin() as standin:
        standin.record_landed()
        yield standin


@pytest.fixture
def pipeline(world, snowflake):
    """A function that makes pipelines from the test's source into the stand-in."""

    def make(transport="rest", name="p", **sections):
        made = SnowflakePipeline(world.directory, (world.cluster, world.source), snowflake, transport, name, **sections)
        world.pipelines.append(made)
        return made

    return make


def landing(name, table):
    return f'"ETL_SCHEMA"."{name}__{table}"'


def log_of(made):
    return made.process.text()


# What arrives


@both
def test_copy_and_stream(world, snowflake, pipeline, transport):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, n numeric(20,4), doc jsonb, note text)")
    world.sql("""INSERT INTO t SELECT n, n / 8.0, '{"a": 1.50}', 'ä' || n FROM generate_series(1, 5000) n""")
    one = pipeline(transport)
    one.start()
    one.wait_equal("t", seconds=60)
    world.sql("UPDATE t SET n = -n, note = NULL WHERE id % 2 = 0; DELETE FROM t WHERE id % 5 = 0; INSERT INTO t VALUES (0)")
    one.wait_equal("t")
    world.sql("UPDATE t SET id = id + 100000 WHERE id < 50")
    one.wait_equal("t")
    one.wait_confirmed()
    one.stop()
    assert not snowflake.landed_twice()


@both
def test_once_leaves_the_target_current(world, snowflake, pipeline, transport):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t SELECT n, n FROM generate_series(1, 2000) n")
    one = pipeline(transport, destination={"apply_every": "1h"})
    for change in ("SELECT 1", "UPDATE t SET n = 0 WHERE id < 100; DELETE FROM t WHERE id > 1900", "TRUNCATE t"):
        world.sql(change)
        assert one.once() == 0
        one.assert_equal("t")
    assert snowflake.sql(f"SELECT COUNT(*) FROM {landing('p', 't')}") == [["0"]]


TYPES = {
    "flag bool": "true", "small int2": "-7", "large int8": "9223372036854775807", "exact numeric(38,10)": "1234567890.5",
    "free numeric": "'NaN'", "fixed char(5)": "'ab'", "word varchar(9)": "E'a\\nb\"'", "day date": "'2026-02-03'",
    "clock time": "'23:59:59.123456'", "bare timestamp": "'2026-02-03 04:05:06.5'", "id uuid": "gen_random_uuid()",
    "zoned timestamptz": "'2026-02-03 04:05:06.123456+02'", "raw bytea": "'\\x00ff'", "document jsonb": '\'{"n": 1.10}\'',
    "span interval": "'1 day 02:03:04'", "list text[]": "ARRAY['a', NULL, '\"']", "net inet": "'10.0.0.1'",
    "wide numeric(50,2)": "'NaN'", "cash money": "-12.34", "zone timetz": "'12:00:00.5+05:45'", "bits varbit": "'101'",
    "area numrange": "'[1.10,)'", "grid int[]": "'[0:1][1:1]={{1},{2}}'", "state mood": "'so so'", "couple pair": "'(,\"\")'",
    "cost price": "1.5", "place point": "'(1.5,-2)'", "markup xml": "'<a/>'", "letter \"char\"": "'a'",
}


def test_types(world, pipeline):
    world.sql(
        "CREATE TYPE mood AS ENUM ('so so'); CREATE DOMAIN price AS numeric(10,3); CREATE TYPE pair AS (a int, b text);"
        f"CREATE TABLE t (k int PRIMARY KEY, {', '.join(TYPES)})"
    )
    values = ", ".join(TYPES.values())
    world.sql(f"INSERT INTO t VALUES (1, {values}), (2{', NULL' * len(TYPES)})")
    one = pipeline()
    one.start()
    one.wait_equal("t")
    world.sql(f"INSERT INTO t VALUES (3, {values}), (4{', NULL' * len(TYPES)}); DELETE FROM t WHERE k < 3")
    one.wait_equal("t")
    one.stop()


def test_columns_are_added_and_widened_while_it_runs(world, pipeline):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, n numeric(5,2)); INSERT INTO t VALUES (1, 1.5)")
    one = pipeline()
    one.start()
    one.wait_equal("t")
    world.sql("ALTER TABLE t ADD extra text; INSERT INTO t VALUES (2, 2, 'x')")
    one.wait_equal("t")
    world.sql("ALTER TABLE t ALTER n TYPE numeric(10,2); INSERT INTO t VALUES (3, 12345678.25, NULL)")
    one.wait_equal("t")
    one.stop()


def test_truncate_in_order_across_lanes(world, pipeline):
    world.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 300)")
    one = pipeline(destination={"channels": 4})
    one.start()
    one.wait_equal("t")
    for number in range(5):
        world.sql(f"INSERT INTO t SELECT generate_series({1000 + number}, 1300); TRUNCATE t;"
                  f" INSERT INTO t SELECT generate_series({number}, 40)")
    one.wait_equal("t")
    one.stop()


@pytest.mark.parametrize("apply", ["task", "view", "append"])
def test_other_ways_to_apply(world, snowflake, pipeline, apply):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t SELECT n, n FROM generate_series(1, 500) n")
    one = pipeline(destination={"apply": apply})
    one.start()
    one.wait_until(lambda: snowflake.raw("SELECT count(*) FROM temp.landed")[0][0] >= 500, "the copy")
    world.sql("UPDATE t SET n = 0 WHERE id < 100; DELETE FROM t WHERE id > 400")
    one.wait_confirmed()
    if apply == "task":
        snowflake.run_tasks()
        assert not [task.failure for task in snowflake.engine.catalog.tasks.values() if task.failure]
    if apply == "append":
        history = snowflake.raw('SELECT "_etl_operation", count(*) FROM "ANALYTICS"."PUBLIC"."t" GROUP BY 1 ORDER BY 1')
        assert history == [("copy", 500), ("remove", 100), ("update", 99)]
    else:
        one.wait_equal("t")
    one.stop()


# What must never be confirmed


@both
def test_a_refused_row_is_never_confirmed(world, snowflake, pipeline, transport):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t VALUES (1, 'good')")
    one = pipeline(transport)
    process = one.start()
    one.wait_equal("t")
    one.wait_confirmed()
    snowflake.refuse_rows("p__t", "a private row")
    world.sql("INSERT INTO t VALUES (2, 'a private row'); INSERT INTO t VALUES (3, 'after it')")
    behind = one.wal_end()
    assert process.wait() == 1
    world.sql("INSERT INTO t VALUES (4, 'later')")
    snowflake.refuse_rows("p__t")  # what was refused stays lost: the counters of the channel still tell
    code, text = one.run_to_end()
    assert code == 1 and "snowflake.rows_refused" in text
    assert not one.confirmed(behind)
    assert "a private row" not in log_of(one)


@both
def test_refused_rows_are_put_aside_when_asked(world, snowflake, pipeline, transport):
    world.sql("CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t VALUES (1, 'good')")
    one = pipeline(transport, destination={"on_reject": "quarantine"})
    one.start()
    one.wait_equal("t")
    snowflake.refuse_rows("p__t", "a private row")
    world.sql("INSERT INTO t SELECT n, CASE WHEN n % 50 = 7 THEN 'a private row' ELSE 'good' END FROM generate_series(2, 200) n")
    one.wait_confirmed()
    world.sql("INSERT INTO t VALUES (1007, 'another, a private row'), (1008, 'good')")
    one.wait_confirmed()
    one.kill()  # what was put aside is known after a crash, too
    world.sql("INSERT INTO t VALUES (1009, 'good')")
    one.start()
    one.wait_confirmed()
    one.stop()
    aside = [json.loads(line) for path in world.directory.glob("p.rejected/*.ndjson") for line in path.read_text().splitlines()]
    assert sorted(row["id"] for row in aside) == [7, 57, 107, 157, 1007]
    assert all(path.stat().st_mode & 0o77 == 0 for path in world.directory.glob("p.rejected/*"))
    assert one.once() == 0
    there = {int(row[0]) for row in snowflake.raw('SELECT id FROM "ANALYTICS"."PUBLIC"."t"')}
    assert there == {*range(1, 201), 1008, 1009} - {7, 57, 107, 157}
    assert "a private row" not in log_of(one) and not snowflake.landed_twice()


@both
def test_nothing_is_confirmed_while_commits_are_held(world, snowflake, pipeline, transport):
    world.sql("CREATE TABLE t (id int PRIMARY KEY)")
    one = pipeline(transport)
    one.start()
    one.wait_until(lambda: "table copied" in log_of(one), "the copy, which else brings some of the rows, too")
    one.wait_confirmed()
    snowflake.hold_commits()
    world.sql("INSERT INTO t SELECT generate_series(1, 100)")
    held = one.wal_end()
    wait_until(lambda: sum(channel.accepted_rows for channel in snowflake.channels().values()) == 100, "rows are accepted")
    polled = snowflake.requests["status"]
    wait_until(lambda: snowflake.requests["status"] > polled + 3, "it asks what is committed")
    assert not one.confirmed(held)
    snowflake.hold_commits(False)
    one.wait_confirmed(held)
    one.wait_equal("t")
    one.stop()


@both
@pytest.mark.parametrize("stalled", ["append", "status"])
def test_a_stop_with_a_stalled_service(world, snowflake, pipeline, transport, stalled):
    world.sql("CREATE TABLE t (id int PRIMARY KEY)")
    one = pipeline(transport, shutdown_timeout="2s")
    process = one.start()
    one.wait_until(lambda: "table copied" in log_of(one), "the copy: what it sees is not the stream's")
    one.wait_confirmed()
    stall = snowflake.faults.add(stalled, "stall", times=None)
    world.sql("INSERT INTO t SELECT generate_series(1, 100)")
    held = one.wal_end()
    one.wait_until(lambda: stall.met, "the service stalls")
    began = time.monotonic()
    process.terminate(30)
    assert time.monotonic() - began < 2 + 2 * PATIENCE
    assert not one.confirmed(held)
    snowflake.faults.clear()
    one.start()
    one.wait_equal("t")
    one.stop()
    assert not snowflake.landed_twice()


def test_another_process_on_the_channels(world, snowflake, pipeline):
    world.sql("CREATE TABLE t (id int PRIMARY KEY)")
    one = pipeline()
    process = one.start()
    one.wait_confirmed()
    for number in range(200):
        snowflake.fence()
        world.sql(f"INSERT INTO t VALUES ({number})")
        if process.exit_code is not None:
            break
        time.sleep(0.1)  # the other process writes this often
    assert process.wait() == 1
    assert "another process" in process.text()
    one.start()  # nobody else writes any more
    one.wait_equal("t")
    one.stop()
    assert not snowflake.landed_twice()


@both
def test_secrets_are_not_told(world, pipeline, transport, tmp_path):
    with Standin(passphrase="correct horse") as standin:
        world.sql("CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t VALUES (1, 'private matter')")
        one = SnowflakePipeline(world.directory, (world.cluster, world.source), standin, transport, "secrets")
        world.pipelines.append(one)
        one.start()
        one.wait_equal("t")
        standin.restart()
        standin.faults.add("append", "error", code="ERR_INTERNAL", times=2)
        world.sql("INSERT INTO t VALUES (2, 'private matter')")
        one.wait_equal("t", seconds=60)
        one.stop()
        text = log_of(one)
        key = standin.key_pair.private.read_text().splitlines()[1]
        for secret in ("correct horse", key, "eyJ", "private matter", "BEGIN"):
            assert secret not in text, secret


# Random


class Trouble(threading.Thread):
    """What can befall a service, at random moments."""

    def __init__(self, snowflake, seed):
        super().__init__(name="trouble")
        self.random = random.Random(f"{seed} trouble")
        self.snowflake = snowflake
        self.stopped = threading.Event()
        self.done = {}

    def run(self):
        while not self.stopped.wait(self.random.uniform(0.1, 0.6)):
            what = self.random.choice(("error", "lose_answer", "lose_request", "slow", "lag", "invalidate", "restart", "revoke"))
            self.done[what] = self.done.get(what, 0) + 1
            getattr(self, what)()

    def kind(self):
        return self.random.choice(("append", "append", "append", "status", "open", "sql", "token"))

    def error(self):
        code = self.random.choice(("ERR_INTERNAL", "ERR_SERVICE_UNAVAILABLE", "ERR_TOO_MANY_REQUESTS", "EXPIRED_TOKEN"))
        kind = self.kind()
        if kind == "append":
            code = self.random.choice((code, "ERR_CHANNEL_MUST_BE_REOPENED_DUE_TO_ROW_SEQ_GAP", "STALE_PIPE_CACHE"))
        self.snowflake.faults.add(kind, "error", code=code)

    def lose_answer(self):
        self.snowflake.faults.add(self.kind(), "lose_answer")

    def lose_request(self):
        self.snowflake.faults.add(self.kind(), "lose_request")

    def slow(self):
        self.snowflake.faults.add(self.kind(), "slow", seconds=self.random.uniform(0.1, 1))

    def lag(self):
        most = self.random.choice((0.01, 0.1, 0.5, 1.5))
        self.snowflake.lag_commits((0, most))

    def invalidate(self):
        channels = sorted(name for _, name in self.snowflake.channels())
        if channels:
            self.snowflake.invalidate(matching=self.random.choice(channels))

    def restart(self):
        if self.random.random() < 0.3:
            self.snowflake.restart()

    def revoke(self):
        self.snowflake.revoke_tokens()


@both
def test_random_writers_faults_and_kills(world, snowflake, pipeline, transport):
    seed = seed_of_this_run()
    one = pipeline(transport, copy={"chunk_size": "64KiB"}, destination={"channels": 3, "apply_every": "1s"})
    trouble = Trouble(snowflake, seed)
    write_and_kill(world, one, seed, SECONDS / 2, writers=3, disturber=trouble)
    print(trouble.done, dict(snowflake.requests))
    snowflake.faults.clear()
    snowflake.lag_commits(0.02)
    began = time.monotonic()
    one.start()
    try:
        one.wait_confirmed(seconds=90)
        one.wait_equal(*TABLES, seconds=90)
    finally:
        print(f"{time.monotonic() - began:.1f} s of recovery", dict(snowflake.requests))
    one.stop()
    one.assert_equal(*TABLES)
    assert not snowflake.landed_twice()
    landed = snowflake.raw("SELECT count(*) FROM temp.landed")[0][0]
    assert landed > 30000, landed
