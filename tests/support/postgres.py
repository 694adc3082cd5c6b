"""Throw-away PostgreSQL servers."""

import atexit
import functools
import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import psycopg2

SETTINGS = {
    "wal_level": "logical",
    "fsync": "off",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "max_wal_senders": "20",
    "max_replication_slots": "20",
    "max_prepared_transactions": "10",
    "max_wal_size": "2GB",
    "listen_addresses": "127.0.0.1",
    "timezone": "UTC",
}


VERSION = os.environ.get("ETL_POSTGRES")  # the major version to test on; Debian's own when there is none
OTHERS = Path(__file__).resolve().parents[2] / ".cache" / "postgres"


def server_programs():
    """Debian's newest installed version, or one of those that tests/setup matrix installs."""
    if VERSION and (programs := OTHERS / VERSION / "bin").exists():
        return programs
    found = glob.glob(f"/usr/lib/postgresql/{VERSION or '*'}/bin/initdb")
    assert found, "no such PostgreSQL server programs; tests/setup server and tests/setup matrix install them"
    return Path(max(found, key=lambda path: int(path.split("/")[4]))).parent


@functools.cache
def programs_for(user):
    """Where this user can run them from: a checkout may lie where only root gets in."""
    programs = server_programs().resolve()
    if not user or subprocess.run(["runuser", "-u", user, "--", "test", "-x", str(programs / "initdb")]).returncode == 0:
        return programs
    copy = Path(tempfile.mkdtemp(prefix="etl-tests-pg-programs."))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    copy.chmod(0o755)
    shutil.copytree(programs.parent, copy, symlinks=True, dirs_exist_ok=True)
    return copy / "bin"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """One server with a data directory of its own. PostgreSQL refuses to run as root, so for root the server runs as
    an unprivileged user."""

    def __init__(self, **settings):
        self.settings = {**SETTINGS, **settings}
        self.directory = Path(tempfile.mkdtemp(prefix="etl-tests-pg."))
        self.user = None
        if os.geteuid() == 0:
            names = {entry.pw_name for entry in pwd.getpwall()}
            self.user = next(name for name in ("postgres", "nobody") if name in names)
            shutil.chown(self.directory, self.user)
        self.programs = programs_for(self.user)
        self.data = self.directory / "data"
        self.port = free_port()
        self._sessions = {}
        self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--no-sync", "--locale=C.UTF-8", "-E", "UTF8")
        self.settings["unix_socket_directories"] = str(self.directory)
        self.settings["port"] = str(self.port)

    def _run(self, program, *arguments):
        prefix = ["runuser", "-u", self.user, "--"] if self.user else []
        command = [*prefix, str(self.programs / program), *map(str, arguments)]
        # Output goes to a file: a server that inherits a pipe would keep it open.
        with open(self.directory / "programs.log", "ab") as log:
            status = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log).returncode
        if status != 0:
            text = "".join(path.read_text(errors="replace")[-2000:] for path in self.directory.glob("*.log"))
            raise RuntimeError(f"{program} failed with {status}: {text}")

    def start(self):
        options = " ".join(f"-c {name}={value}" for name, value in self.settings.items())
        self._run("pg_ctl", "start", "-D", self.data, "-w", "-t", "60", "-l", self.directory / "server.log", "-o", options)
        return self

    def stop(self, mode="fast", seconds=60):
        """Raises when the server has not ended after `seconds`."""
        self.close_sessions()
        self._run("pg_ctl", "stop", "-D", self.data, "-w", "-t", str(seconds), "-m", mode)

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def remove(self):
        try:
            self.stop("immediate")
        except RuntimeError:
            pass  # was stopped already
        shutil.rmtree(self.directory, ignore_errors=True)

    def close_sessions(self):
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    def url(self, database, user="postgres", **parameters):
        text = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"postgres://{user}@127.0.0.1:{self.port}/{database}" + (f"?{text}" if text else "")

    def connect(self, database, autocommit=False, user="postgres"):
        """A session of its own; the caller closes it."""
        session = psycopg2.connect(
            host="127.0.0.1", port=self.port, user=user, dbname=database, application_name="etl tests"
        )
        session.autocommit = autocommit
        return session

    def sql(self, database, statements, *parameters):
        """Runs statements in autocommit and returns the rows of the last one."""
        session = self._sessions.get(database)
        if session is None or session.closed:
            session = self._sessions[database] = self.connect(database, autocommit=True)
        with session.cursor() as cursor:
            cursor.execute(statements, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, database, query, *parameters):
        """The one value that the query gives."""
        return self.sql(database, query, *parameters)[0][0]

    def create_database(self, name, encoding=None):
        """`encoding`: with the locale C, which goes with any."""
        other = f" ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'" if encoding else ""
        self.sql("postgres", f'CREATE DATABASE "{name}" TEMPLATE template0{other}')

    def drop_database(self, name):
        if session := self._sessions.pop(name, None):
            session.close()
        self.sql("postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def drop_slots(self):
        self.sql(
            "postgres",
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid IS NOT NULL;"
            "DO $$ DECLARE s name; BEGIN FOR s IN SELECT slot_name FROM pg_replication_slots LOOP"
            "  FOR i IN 1..200 LOOP"
            "    BEGIN PERFORM pg_drop_replication_slot(s); EXIT;"
            "    EXCEPTION WHEN object_in_use THEN PERFORM pg_sleep(0.05); END;"
            "  END LOOP; END LOOP; END $$",
        )
