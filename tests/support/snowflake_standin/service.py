"""The streaming service: pipes and channels above the engine, and the thread that commits what was accepted."""

import itertools
import threading
import time

from .channels import Batch, Channel, Failure, Pipe
from .landing import count_rows

NO_PIPE = ("ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED", "Pipe {} does not exist or not authorized.", 404)
NO_CHANNEL = ("ERR_CHANNEL_DOES_NOT_EXIST_OR_IS_NOT_AUTHORIZED", "Channel {} does not exist or is not authorized.", 404)


class Rows:
    """A body of lines, counted."""

    def __init__(self, body):
        self.body = body
        self.count = count_rows(body)

    def __len__(self):
        return self.count


class Service:
    """Thread-safe. Whoever needs both locks takes the engine's first."""

    def __init__(self, engine, faults):
        self.engine, self.faults = engine, faults
        self.lock = threading.Lock()
        self.pipes = {}  # (database, schema, table) → Pipe
        self.instant = False  # rows are counted and committed at once, and kept nowhere
        self.refused = {}  # table name → texts; rows that hold one do not fit
        self._sequencer = 0
        self._stopped = threading.Event()
        self._wake = threading.Event()
        self._committer = threading.Thread(target=self._commit_loop, name="committer", daemon=True)
        engine.between_statements = self.commit_due

    def start(self):
        self._committer.start()

    def stop(self):
        self._stopped.set()
        self._wake.set()
        self._committer.join()

    # Names in URLs are not case-sensitive, except that a name that is there as it is spelled is meant.

    def pipe(self, database, schema, pipe):
        if not pipe.upper().endswith("-STREAMING"):
            raise Failure(NO_PIPE[0], NO_PIPE[1].format(pipe), NO_PIPE[2])
        asked = (database, schema, pipe[: -len("-STREAMING")])
        tables = list(self.engine.catalog.tables)  # without the engine's lock, which a statement may hold for long
        found = next((name for name in tables if name == asked), None)
        if found is None:
            found = next((name for name in tables if [p.upper() for p in name] == [p.upper() for p in asked]), None)
        if found is None:
            raise Failure(NO_PIPE[0], NO_PIPE[1].format(pipe), NO_PIPE[2])
        with self.lock:
            return self.pipes.setdefault(found, Pipe(*found))

    def _channel(self, pipe, name):
        channel = pipe.channels.get(name)
        if channel is None:
            raise Failure(NO_CHANNEL[0], NO_CHANNEL[1].format(name), NO_CHANNEL[2])
        return channel

    def open(self, pipe, name, offset=None, fail_on_uncommitted=False):
        with self.lock:
            channel = pipe.channels.get(name)
            if channel is None:
                self._sequencer += 1000  # a channel dropped and made again must not accept old tokens
                channel = pipe.channels[name] = Channel(pipe, name, self._sequencer)
            token = channel.open(offset, fail_on_uncommitted)
            return {"next_continuation_token": token, "channel_status": channel.status()}

    def append(self, pipe, name, token, body, start, end):
        rows = Rows(body)
        with self.lock:
            channel = self._channel(pipe, name)
            following = channel.append(token, rows, start, end, self.faults.due())
            if self.instant:
                channel.commit_all()
        self._wake.set()
        return {"next_continuation_token": following}

    def status(self, pipe, names):
        with self.lock:
            return {"channel_statuses": {name: pipe.channels[name].status() for name in names if name in pipe.channels}}

    def drop(self, pipe, name):
        with self.lock:
            self._channel(pipe, name)
            del pipe.channels[name]
        return {}

    # Committing

    def _commit_loop(self):
        while not self._stopped.is_set():
            due = self.commit_due()
            if due is None:
                self._wake.wait(1)
                self._wake.clear()
            else:
                self._stopped.wait(max(0.001, due - time.monotonic()))

    def commit_due(self):
        """Commits every batch whose time has come; when the next one's comes, None when nothing waits."""
        following = None
        with self.engine.lock, self.lock:
            if self.faults.commits_held:
                return None
            now = time.monotonic()
            for name, pipe in self.pipes.items():
                for channel in pipe.channels.values():
                    due = list(itertools.takewhile(lambda batch: batch.due <= now, channel.pending))
                    if due:
                        self._commit(name, channel, due)
                    if channel.pending:
                        following = min(following or channel.pending[0].due, channel.pending[0].due)
        return following

    def _commit(self, name, channel, due):
        """All of a channel's batches that are due, at once: each load has a price of its own."""
        for _ in due:
            channel.pending.popleft()
        if name not in self.engine.catalog.tables:
            channel.must_reopen = "ERR_TABLE_DOES_NOT_EXIST_NOT_AUTHORIZED"
            channel.pending.clear()
            return
        refused = [text.encode() for text in self.refused.get(name[2], ())]
        rows = due[0].rows if len(due) == 1 else Rows(b"\n".join(batch.rows.body for batch in due))
        channel.commit(Batch(rows, due[0].start, due[-1].end, due[-1].due), self.engine.load(name, rows.body, refused))

    def wake(self):
        self._wake.set()

    def idle(self):
        """Whether nothing accepted waits for its commit."""
        with self.lock:
            return not any(channel.pending for pipe in self.pipes.values() for channel in pipe.channels.values())

    # What may befall channels

    def channels(self):
        with self.lock:
            return [channel for pipe in self.pipes.values() for channel in pipe.channels.values()]

    def fence(self, matching=""):
        """Another client opens the channels whose names hold the text, and loses what they have in flight."""
        for channel in self.channels():
            if matching in channel.name:
                with self.lock:
                    channel.begin_session()

    def invalidate(self, code, matching=""):
        """Channels answer with the code until they are opened again; what is in flight is lost."""
        for channel in self.channels():
            if matching in channel.name:
                with self.lock:
                    channel.pending.clear()
                    channel.must_reopen = code

    def lose_uncommitted(self):
        self.invalidate("ERR_CHANNEL_MUST_BE_REOPENED")
