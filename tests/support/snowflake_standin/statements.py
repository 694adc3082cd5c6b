"""The SQL API: statements with handles, answered at once, later, or not at all."""

import sys
import threading
import traceback
import uuid

from . import result as results
from .catalog import SqlError, missing
from .channels import Failure


class Statement:
    def __init__(self, handle, request):
        self.handle, self.request = handle, request
        self.finished = threading.Event()
        self.answer = None  # (HTTP status, body)
        self.cancelled = False


class Statements:
    """Thread-safe. A request that comes again with the same requestId gets the first one's answer and runs nothing."""

    def __init__(self, engine):
        self.engine = engine
        self.answer_within = 45.0  # seconds until 202 is answered; the real service's
        self.texts = []  # everything that was asked for, for tests
        self._lock = threading.Lock()
        self._by_handle = {}
        self._by_request = {}
        self._current = None  # the one that the engine works on

    def submit(self, asked, request, asynchronous):
        request = request or str(uuid.uuid4())
        with self._lock:
            statement = self._by_request.get(request)
            fresh = statement is None
            if fresh:
                statement = Statement(str(uuid.uuid4()), request)
                self._by_request[request] = self._by_handle[statement.handle] = statement
                self.texts.append(asked["statement"])
        if fresh:
            threading.Thread(target=self._run, args=(statement, asked), daemon=True).start()
        return self._answer(statement, 0 if asynchronous else self.answer_within)

    def poll(self, handle):
        return self._answer(self._find(handle), 0)

    def cancel(self, handle):
        statement = self._find(handle)
        statement.cancelled = True
        if self._current is statement:
            self.engine.connection.interrupt()
        return 200, {"code": "000604", "sqlState": "57014", "message": "successfully canceled", "statementHandle": handle}

    def _find(self, handle):
        with self._lock:
            if handle not in self._by_handle:
                raise Failure("391918", f"The requested statement {handle} was not found.", 404)
            return self._by_handle[handle]

    def _answer(self, statement, seconds):
        if statement.finished.wait(seconds):
            return statement.answer
        return 202, {
            "code": "333334", "statementHandle": statement.handle,
            "message": "Asynchronous execution in progress. Use provided query id to perform query monitoring and management.",
            "statementStatusUrl": f"/api/v2/statements/{statement.handle}?requestId={statement.request}",
        }

    def _run(self, statement, asked):
        try:
            statement.answer = 200, self._results(statement, asked)
        except SqlError as failure:
            statement.answer = 422, {"code": failure.code, "sqlState": failure.state, "message": str(failure),
                                     "statementHandle": statement.handle}
        except Exception as failure:  # ours to mend: seen by the test that reads the log, and not tried again by clients
            traceback.print_exc(file=sys.stderr)
            statement.answer = 422, {"code": "000000", "sqlState": "XX000", "message": f"the stand-in failed: {failure!r}",
                                     "statementHandle": statement.handle}
        finally:
            statement.finished.set()

    def _results(self, statement, asked):
        database, schema = asked.get("database"), asked.get("schema")  # case-sensitive, and not in quotes
        with self.engine.lock:
            if statement.cancelled:
                raise SqlError("000604", "57014", "SQL execution canceled")
            if database is not None and database not in self.engine.catalog.schemas:
                raise missing("Database", database)
            self._current = statement
            try:
                done = self.engine.run(asked["statement"], database, schema)
            finally:
                self._current = None
        several = str(asked.get("parameters", {}).get("MULTI_STATEMENT_COUNT", "1"))
        if several != "0" and int(several) != len(done):
            raise SqlError("000008", "0A000", f"Actual statement count {len(done)} did not match the desired statement"
                                              f" count {several}.")
        if len(done) == 1:
            return results.body(done[0], statement.handle, statement.request)
        handles = []
        for one in done:
            part = Statement(str(uuid.uuid4()), statement.request)
            part.answer = 200, results.body(one, part.handle, part.request)
            part.finished.set()
            with self._lock:
                self._by_handle[part.handle] = part
            handles.append(part.handle)
        answer = results.body(results.Result.of_texts(["multiple statement execution"],
                                                      [("Multiple statements executed successfully.",)]),
                              statement.handle, statement.request)
        return {**answer, "statementHandles": handles}
