"""What cannot work is refused with an explanation and a non-zero exit code, never skipped over."""

import contextlib
import re
import socket
import struct
import threading

import pytest

from support.etl import Pipeline, Process
from support.postgres import Cluster


def refused(pipeline, *words, code=1):
    status, text = pipeline.run_to_end()
    assert status == code, text
    for word in words:
        assert word in text
    return text


@pytest.mark.matrix
def test_wal_level(world):
    server = Cluster(wal_level="replica").start()
    try:
        server.create_database("shop")
        pipeline = world.pipeline(source={"url": server.url("shop")})
        refused(pipeline, "wal_level")
    finally:
        server.remove()


@pytest.fixture
def role(world):
    name = f"weak_{world.source}"
    world.sql(f"CREATE ROLE {name} LOGIN")
    yield name
    world.pipelines[-1].clean_up()
    for database in (world.source, world.destination):
        world.cluster.sql(database, f"DROP OWNED BY {name}")
    world.sql(f"DROP ROLE {name}")


@pytest.mark.matrix
def test_role_without_replication(world, role):
    world.sql(f"CREATE TABLE t (id int PRIMARY KEY); GRANT ALL ON t TO {role}; ALTER TABLE t OWNER TO {role}")
    world.sql(f"GRANT ALL ON DATABASE {world.source} TO {role}")
    pipeline = world.pipeline(source={"url": world.cluster.url(world.source, user=role)})
    refused(pipeline, "REPLICATION", role)


@pytest.mark.matrix
def test_role_that_may_not_publish(world, role):
    world.sql(f"CREATE TABLE t (id int PRIMARY KEY); ALTER ROLE {role} REPLICATION")
    pipeline = world.pipeline(source={"url": world.cluster.url(world.source, user=role)})
    refused(pipeline, "CREATE PUBLICATION")
    assert world.sql("SELECT slot_name FROM pg_replication_slots") == []  # what fails early leaves nothing behind


def test_role_that_may_not_create_the_target_table(world, role):
    world.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    pipeline = world.pipeline(destination={"url": world.cluster.url(world.destination, user=role)})
    refused(pipeline, "CREATE ON DATABASE")


def test_no_slot_left(world):
    world.sql("CREATE TABLE t (id int PRIMARY KEY)")
    taken = 20 - world.sql("SELECT count(*) FROM pg_replication_slots")[0][0]
    for n in range(taken):
        world.sql("SELECT pg_create_physical_replication_slot(%s)", f"taken_{n}")
    refused(world.pipeline(), "max_replication_slots")


def test_slot_in_use(world):
    world.sql("CREATE TABLE t (id int PRIMARY KEY)")
    first = world.pipeline(name="first")
    first.start()
    pid = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s AND active_pid IS NOT NULL"
    holder = first.wait_until(lambda: world.sql(pid, first.slot), "the slot is in use")[0][0]
    second = world.pipeline(name="second", source={"slot": first.slot, "publication": first.publication})
    refused(second, first.slot, str(holder))
    first.process.check_alive()
    first.stop()


@pytest.mark.matrix
def test_slot_of_another_plugin(world):
    world.sql("CREATE TABLE t (id int PRIMARY KEY)")
    pipeline = world.pipeline()
    world.sql("SELECT pg_create_physical_replication_slot(%s)", pipeline.slot)
    refused(pipeline, pipeline.slot)


def test_target_that_has_rows_before_the_first_copy(world):
    world.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    world.there("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (2)")
    pipeline = world.pipeline()
    pipeline.start()
    pipeline.wait_until(lambda: "existing_rows" in pipeline.process.text() or pipeline.process.exit_code, "an explanation", 30)
    pipeline.clean_up()
    assert "existing_rows" in pipeline.process.text()
    assert world.there("SELECT id FROM t") == [(2,)]
    pipeline.configure(copy={"existing_rows": "replace"})
    pipeline.start()
    pipeline.wait_equal("t")
    pipeline.stop()


@contextlib.contextmanager
def old_server(version):
    """A server that lets everybody in, says that it is of `version`, and refuses every command."""
    listener = socket.create_server(("127.0.0.1", 0))

    def message(kind, body):
        return kind + struct.pack("!i", len(body) + 4) + body

    def serve(client):
        with client, contextlib.suppress(OSError, struct.error):
            while True:
                size = struct.unpack("!i", client.recv(4, socket.MSG_WAITALL))[0]
                body = client.recv(size - 4, socket.MSG_WAITALL)
                if struct.unpack("!i", body[:4])[0] >> 16 == 3:
                    break
                client.sendall(b"N")  # neither TLS nor GSS encryption
            ready = message(b"Z", b"I")
            client.sendall(message(b"R", struct.pack("!i", 0)))
            for name, value in (("server_version", version), ("client_encoding", "UTF8"), ("integer_datetimes", "on")):
                client.sendall(message(b"S", name.encode() + b"\0" + value.encode() + b"\0"))
            client.sendall(message(b"K", struct.pack("!ii", 1, 1)) + ready)
            while kind := client.recv(1):
                client.recv(struct.unpack("!i", client.recv(4, socket.MSG_WAITALL))[0] - 4, socket.MSG_WAITALL)
                if kind in b"QS":
                    refusal = b"SERROR\0VERROR\0C0A000\0Mnot in this version\0\0"
                    client.sendall(message(b"E", refusal) + ready)

    def accept():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_server_before_14(world):
    with old_server("13.4") as port:
        pipeline = world.pipeline(source={"url": f"postgres://postgres@127.0.0.1:{port}/shop"})
        refused(pipeline, "13", "14")


def test_every_configuration_error_at_once(world):
    file = world.directory / "bad.toml"
    file.write_text(
        'name = "bad name!"\n'
        "[source]\n"
        'urll = "postgres://localhost/shop"\n'
        "[destination]\n"
        'type = "postgras"\n'
        "[copy]\n"
        'workers = "two"\n'
    )
    process = Process(world.directory / "bad.log", ["run", file])
    assert process.wait() == 2
    text = process.text()
    for line in (1, 3, 5, 7):
        assert re.search(rf"bad\.toml:{line}:\d+", text), f"nothing about line {line} in {text}"
    assert "url" in text and "postgres" in text  # the nearest known names


def test_missing_file(world):
    process = Process(world.directory / "bad.log", ["run", world.directory / "none.toml"])
    assert process.wait() == 2
    assert "none.toml" in process.text()


def test_no_password_in_any_text(world):
    pipeline = Pipeline(world.directory, (world.cluster, world.source), (world.cluster, world.destination))
    pipeline.configure(source={"url": f"postgres://postgres:hunter2@127.0.0.1:{world.cluster.port}/no_such_database"})
    world.pipelines.append(pipeline)
    process = pipeline.start("--log-level", "debug")
    pipeline.wait_until(lambda: "no_such_database" in process.text() or process.exit_code, "the failure is logged")
    pipeline.clean_up()
    assert "hunter2" not in process.text()
