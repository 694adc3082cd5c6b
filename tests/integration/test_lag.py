"""etl-stream lag: every slot of a server as it is, and exit codes that monitoring systems understand."""

import json
import os
import pty
import socket
import subprocess
import time

import pytest
from support.etl import BINARY, PATIENCE, wait_until
from support.postgres import Cluster


def lag(*arguments, **options):
    done = subprocess.run([BINARY, "lag", *map(str, arguments)], capture_output=True, text=True, timeout=60, **options)
    return done.returncode, done.stdout, done.stderr


def slots_in(text):
    (server,) = json.loads(text)["servers"]
    return {slot["slot"]: slot for slot in server["slots"]}


@pytest.fixture
def two_slots(world):
    """A pipeline that runs, and a slot that somebody forgot."""
    world.sql("CREATE TABLE t (id int PRIMARY KEY)")
    world.sql("SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput')")
    pipeline = world.pipeline()
    pipeline.start()
    pipeline.wait_confirmed()
    return pipeline


def test_every_slot_is_told_and_ours_are_marked(world, two_slots):
    world.sql("CREATE TABLE other AS SELECT repeat(md5(n::text), 30) FROM generate_series(1, 5000) n")
    two_slots.wait_confirmed()
    code, text, _ = lag("--json", two_slots.file)
    assert code == 0 and json.loads(text)["status"] == "ok"
    slots = slots_in(text)
    ours, forgotten = slots[two_slots.slot], slots["forgotten"]
    assert ours["ours"] and ours["active"] and ours["active_pid"] > 0 and not forgotten["ours"]
    assert ours["application_name"].startswith("etl-stream") and ours["wal_status"] == "reserved"
    assert not forgotten["active"] and forgotten["active_pid"] is None
    retained = world.sql("SELECT pg_current_wal_lsn() - restart_lsn FROM pg_replication_slots WHERE slot_name = 'forgotten'")
    assert 1_000_000 < forgotten["retained_bytes"] <= retained[0][0] and forgotten["lag_bytes"] <= forgotten["retained_bytes"]
    assert ours["lag_bytes"] < forgotten["lag_bytes"]
    assert forgotten["growth_bytes_per_second"] is not None  # two looks
    code, text, _ = lag("--source", world.cluster.url(world.source))
    assert code == 0 and "forgotten" in text and two_slots.slot in text and "slots may fill the disk" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("limits, code", [(("--warning", "1kB"), 1), (("--danger", "1kB"), 2), (("--warning", "1GB"), 0)])
def test_thresholds_make_the_exit_code(world, two_slots, limits, code):
    world.sql("CREATE TABLE other AS SELECT generate_series(1, 1000)")
    found, text, _ = lag(*limits, "--json", two_slots.file)
    assert found == code and json.loads(text)["status"] == ("ok", "warning", "danger")[code]


def test_a_lost_slot_is_danger_and_says_why():
    server = Cluster(max_slot_wal_keep_size="32MB", max_wal_size="64MB", min_wal_size="32MB").start()
    try:
        server.sql("postgres", "SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput')")
        server.sql("postgres", "CREATE TABLE t (text text)")
        url = server.url("postgres")
        code, text, _ = lag("--source", url, "--json")
        assert (code, json.loads(text)["servers"][0]["max_slot_wal_keep_size"]) == (0, 32 << 20)
        assert 0 < slots_in(text)["forgotten"]["safe_wal_size"] <= 64 << 20
        for _ in range(6):
            server.sql("postgres", "INSERT INTO t SELECT repeat(md5(n::text), 30) FROM generate_series(1, 16000) n")
            server.sql("postgres", "SELECT pg_switch_wal()")
            server.sql("postgres", "CHECKPOINT")
        code, text, _ = lag("--source", url, "--json")
        assert code == 2 and slots_in(text)["forgotten"]["invalidation_reason"] == "wal_removed"
    finally:
        server.remove()


def test_a_server_that_does_not_answer_is_unknown_within_a_second(world, two_slots, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and says nothing
        url = f"postgres://etl:geheim@127.0.0.1:{silent.getsockname()[1]}/shop"
        began = time.monotonic()
        code, text, error = lag("--source", url)
        assert code == 3 and time.monotonic() - began < 2 * PATIENCE
        assert "within" in text and "geheim" not in text + error
    code, text, error = lag("--source", "postgres://etl:geheim@127.0.0.1:1/shop", "--json")
    assert code == 3 and json.loads(text)["status"] == "unknown" and "geheim" not in text + error


@pytest.mark.parametrize("arguments", [(), ("no.toml",), ("--warning", "much"), ("--sorce", "x"), ("--source", "a", "b.toml")])
def test_what_is_wrong_with_the_line_is_unknown_too(arguments, tmp_path):
    code, text, error = lag(*arguments, cwd=tmp_path)
    assert (code, text) == (3, "") and error


def test_watching_on_a_terminal(world, two_slots):
    """Colours, and a look again and again."""
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    watcher = subprocess.Popen([BINARY, "lag", two_slots.file, "--watch", "0.2", "--danger", "1B"], stdout=theirs,
                               env=environment)
    try:
        text = bytearray()

        def seen():
            text.extend(os.read(ours, 65536))
            return text.count(b"\x1b[2J") > 2 and b"\x1b[31m" in text and b"/s" in text

        os.set_blocking(ours, False)

        def looked():
            try:
                return seen()
            except BlockingIOError:
                return False

        world.sql("CREATE TABLE other (n int)")
        wait_until(lambda: world.sql("INSERT INTO other SELECT generate_series(1, 1000)") is not None and looked(),
                   "it looks again")
    finally:
        watcher.terminate()
        watcher.wait()
        os.close(ours)
        os.close(theirs)
