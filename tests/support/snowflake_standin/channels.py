"""Channels and their sessions: the seven semantics of the streaming protocol, without a network.

1. Opening a channel again gives it another session; continuation tokens of older sessions are stale.
2. A token replayed within its session is answered with the token issued then, and its rows are dropped.
3. Accepted is not committed: the committed offset follows later, in order.
4. Opening again throws away what is not committed, unless the caller asked to be refused instead.
5. Rows that do not fit are skipped while the offset advances; only the counters tell.
6. A dropped channel begins anew, without an offset.
7. Columns that a row does not name become NULL, whatever their DEFAULT (landing.py).
"""

import collections
import time


class Failure(Exception):
    """An answer of the protocol that is not 200."""

    def __init__(self, code, message, status):
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class Batch:
    """Rows accepted, not yet committed."""

    def __init__(self, rows, start, end, due):
        self.rows, self.start, self.end, self.due = rows, start, end, due


class Channel:
    """Not thread-safe: the service's lock covers it."""

    def __init__(self, pipe, name, sequencer):
        self.pipe, self.name = pipe, name
        self.sequencer = sequencer
        self.row_sequencer = 0
        self.issued = {}  # token → the token that followed it, in this session
        self.expected = None
        self.pending = collections.deque()
        self.committed = None
        self.inserted = self.parsed = self.errors = 0
        self.last_error = self.last_error_bound = self.last_error_at = None
        self.created = int(time.time() * 1000)
        self.must_reopen = None  # the code that says so
        self.opened = 0
        self.accepted_rows = 0
        self.replayed = 0

    def open(self, offset, fail_on_uncommitted):
        if self.pending and fail_on_uncommitted:
            raise Failure("ERR_CHANNEL_HAS_UNCOMMITTED_DATA", f"Channel {self.name} has uncommitted rows.", 409)
        self.begin_session()
        self.opened += 1
        if offset is not None:
            self.committed = offset
        return self.expected

    def begin_session(self):
        self.pending.clear()
        self.sequencer += 1
        self.row_sequencer = 0
        self.issued.clear()
        self.must_reopen = None
        self.expected = self._token()

    def _token(self):
        return f"{self.sequencer}_{self.row_sequencer}"

    def append(self, token, rows, start, end, due):
        """Accepts the rows, and returns the token for the next ones."""
        if self.must_reopen:
            raise Failure(self.must_reopen, f"Channel {self.name} must be reopened.", 400)
        if token in self.issued:
            self.replayed += 1
            return self.issued[token]
        if token != self.expected:
            raise Failure("STALE_CONTINUATION_TOKEN_SEQUENCER", f"Channel {self.name}: the token is stale.", 400)
        self.row_sequencer += 1
        self.expected = self.issued[token] = self._token()
        self.accepted_rows += len(rows)
        self.pending.append(Batch(rows, start, end, due))
        return self.expected

    def commit(self, batch, rejected):
        """`rejected`: (count, message) of the batch's rows that do not fit."""
        count, message = rejected
        if batch.end is not None:
            self.committed = batch.end
        self.parsed += len(batch.rows)
        self.inserted += len(batch.rows) - count
        self.errors += count
        if count:
            self.last_error, self.last_error_bound = message, batch.end
            self.last_error_at = int(time.time() * 1000)

    def commit_all(self):
        while self.pending:
            self.commit(self.pending.popleft(), (0, None))

    def status(self):
        return {
            "database_name": self.pipe.database,
            "schema_name": self.pipe.schema,
            "pipe_name": self.pipe.name,
            "channel_name": self.name,
            "channel_status_code": self.must_reopen or "SUCCESS",
            "last_committed_offset_token": self.committed,
            "created_on_ms": self.created,
            "rows_inserted": self.inserted,
            "rows_parsed": self.parsed,
            "rows_error_count": self.errors,
            "rows_errors": self.errors,
            "last_error_offset_upper_bound": self.last_error_bound,
            "last_error_message": self.last_error,
            "last_error_timestamp": self.last_error_at,
            "snowflake_avg_processing_latency_ms": 0,
        }


class Pipe:
    """The default pipe of a table: there as soon as the table is."""

    def __init__(self, database, schema, table):
        self.database, self.schema, self.table = database, schema, table
        self.name = f"{table}-STREAMING"
        self.channels = {}
