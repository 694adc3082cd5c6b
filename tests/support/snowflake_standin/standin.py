"""The stand-in as tests use it: started and stopped, told to fail, and looked into."""

import collections
import json
import tempfile
import threading
from pathlib import Path

from . import faults as fault_kinds
from .authentication import Authentication
from .certificates import Certificates, KeyPair
from .engine import Engine
from .faults import Faults
from .server import Server
from .service import Service
from .statements import Statements


class Standin:
    """`with Standin() as snowflake:` serves until the block ends. Everything is kept in memory."""

    def __init__(self, account="standin", user="etl", database="ANALYTICS", directory=None, port=0, passphrase=None,
                 instant=False, seed=None):
        self._own_directory = tempfile.TemporaryDirectory(prefix="standin.") if directory is None else None
        self.directory = Path(directory or self._own_directory.name)
        self.account, self.user, self.database = account, user, database
        self.certificates = Certificates(self.directory)
        self.key_pair = KeyPair(self.directory, passphrase=passphrase)
        self.authentication = Authentication(account, user, self.key_pair)
        self.faults = Faults(seed)
        self.engine = Engine()
        self.engine.definitions.create_database(database)
        self.service = Service(self.engine, self.faults)
        self.service.instant = instant
        self.statements = Statements(self.engine)
        self.documented_answers = False  # JSON where the real service answers with bare text
        self.refusals = []  # why callers were refused
        self.requests = collections.Counter()  # by kind
        self.server = Server(self, self.certificates, port)
        self.port = self.server.server_address[1]
        self.host = "localhost"  # what the service calls its ingest host; clients keep to the port of the account's URL
        self.url = f"https://{self.host}:{self.port}"
        self.ca_file = self.certificates.authority
        self._serving = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)

    def start(self):
        self.service.start()
        self._serving.start()
        return self

    def stop(self):
        self.faults.clear()
        self.server.shutdown()
        self.server.disconnect_all()
        self.server.server_close()
        self.service.stop()
        self.engine.close()
        if self._own_directory:
            self._own_directory.cleanup()

    def __enter__(self):
        return self.start()

    def __exit__(self, *failure):
        self.stop()

    def count(self, kind, method, path):
        self.requests[kind] += 1

    # What it holds

    def sql(self, text, schema="PUBLIC"):
        """Runs statements as the account's owner; the last one's rows, as the SQL API spells them."""
        return self.engine.query(text, self.database, schema)

    def raw(self, text):
        """Runs a query in DuckDB's own SQL and types."""
        with self.engine.lock:
            return self.engine.connection.execute(text).fetchall()

    def channels(self):
        """(table, channel's name) → Channel."""
        return {(channel.pipe.table, channel.name): channel for channel in self.service.channels()}

    def channel(self, table, name, schema="PUBLIC"):
        return self.service.pipes[self.database, schema, table].channels[name]

    def statuses(self):
        """By "table/channel"."""
        return {"/".join(name): channel.status() for name, channel in self.channels().items()}

    def idle(self):
        return self.service.idle()

    def run_tasks(self):
        """Runs every resumed task whose condition holds; how many ran."""
        with self.engine.lock:
            return sum(self.engine.definitions.run_task(task) for task in list(self.engine.catalog.tasks.values())
                       if task.resumed)

    def record_landed(self, column="_etl_position"):
        """From now on, what this column held in each row that landed is remembered; see landed_twice()."""
        self.engine.recorded_column = column

    def landed_twice(self):
        """(table, value, count) of recorded values that landed more than once."""
        return self.raw("SELECT table_name, value, count(*) FROM temp.landed GROUP BY ALL HAVING count(*) > 1 LIMIT 20")

    # What goes wrong. Faults for requests of one kind: faults.add(), faults.clear()

    def lag_commits(self, seconds):
        """What is accepted from now on is committed this much later; a pair of numbers: at random in between."""
        self.faults.commit_lag = seconds

    def hold_commits(self, held=True):
        """Nothing is committed until hold_commits(False)."""
        self.faults.commits_held = held
        self.service.wake()

    def refuse_rows(self, table, *texts):
        """From now on, rows for the table that hold one of the texts are skipped as bad ones. No texts: none are."""
        self.service.refused[table] = texts

    def fence(self, matching=""):
        """Another client opens the channels whose names hold the text: their sessions are over."""
        self.service.fence(matching)

    def invalidate(self, code="ERR_CHANNEL_MUST_BE_REOPENED", matching=""):
        """The channels answer with the code until they are opened again."""
        self.service.invalidate(code, matching)

    def revoke_tokens(self):
        self.authentication.revoke_tokens()

    def restart(self):
        """As if the service's machines were replaced: connections end, uncommitted rows are gone, tokens are unknown."""
        self.service.lose_uncommitted()
        self.revoke_tokens()
        self.server.disconnect_all()

    # From another process: POST /standin/<call> with a JSON object of arguments

    def control(self, call, arguments):
        if call == "state":
            return {"channels": self.statuses(), "idle": self.idle(), "requests": dict(self.requests),
                    "refusals": self.refusals[-20:]}
        if call == "add_fault":
            self.faults.add(**arguments)
        elif call == "clear_faults":
            self.faults.clear()
        elif call == "sql":
            return self.sql(**arguments)
        elif call == "raw":
            return json.loads(json.dumps(self.raw(**arguments), default=str))
        elif call == "instant":
            self.service.instant = bool(arguments.get("on", True))
        elif call in ("lag_commits", "hold_commits", "fence", "invalidate", "revoke_tokens", "restart", "run_tasks"):
            return getattr(self, call)(**arguments)
        elif call == "refuse_rows":
            self.refuse_rows(arguments["table"], *arguments.get("texts", ()))
        elif call == "errors":
            return fault_kinds.ERRORS
        else:
            raise ValueError(f"no call {call}")
        return None
