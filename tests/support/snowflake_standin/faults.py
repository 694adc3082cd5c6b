"""What the stand-in has been told to do wrong."""

import random
import threading
import time

KINDS = ("token", "hostname", "pipe_info", "open", "append", "status", "drop", "sql", "telemetry")

# Documented errors: the HTTP status that goes with each code.
ERRORS = {
    "STALE_CONTINUATION_TOKEN_SEQUENCER": 400,
    "ERR_CHANNEL_HAS_UNCOMMITTED_DATA": 409,
    "ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED": 404,
    "ERR_TABLE_DOES_NOT_EXIST_NOT_AUTHORIZED": 404,
    "ERR_CHANNEL_DOES_NOT_EXIST_OR_IS_NOT_AUTHORIZED": 404,
    "ERR_CHANNEL_HAS_INVALID_ROW_SEQUENCER": 400,
    "ERR_CHANNEL_HAS_INVALID_CLIENT_SEQUENCER": 400,
    "ERR_CHANNEL_MUST_BE_REOPENED": 400,
    "ERR_CHANNEL_MUST_BE_REOPENED_DUE_TO_ROW_SEQ_GAP": 400,
    "STALE_PIPE_CACHE": 400,
    "ERR_OPEN_CHANNEL_IN_PROGRESS": 409,
    "ERR_PAYLOAD_TOO_LARGE": 413,
    "ERR_TOO_MANY_REQUESTS": 429,
    "ERR_INTERNAL": 500,
    "ERR_SERVICE_UNAVAILABLE": 503,
    "EXPIRED_TOKEN": 401,
}


class Fault:
    """One instruction: what happens to requests of a kind, how often, to which channel."""

    def __init__(self, kind, does, times=1, probability=1.0, match=None, status=None, code=None, seconds=None):
        if kind not in KINDS or does not in ("error", "lose_answer", "lose_request", "stall", "slow"):
            raise ValueError(f"no fault {does} for {kind}")
        if does == "error" and status is None:
            status = ERRORS[code]
        self.kind, self.does, self.times, self.probability, self.match = kind, does, times, probability, match
        self.status, self.code, self.seconds = status, code, seconds
        self.released = threading.Event()
        self.met = 0


class Faults:
    """Thread-safe. Asked once for each request; faults are used up in the order in which they were added."""

    def __init__(self, seed=None):
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._faults = []
        self.commit_lag = 0.02  # seconds from accepted to committed; or (least, most)
        self.commits_held = False

    def add(self, kind, does, **how):
        """does: "error" (answer with `code`, and `status` where the code is not a documented one), "lose_answer" (carry
        it out, then close the connection), "lose_request" (close it right away), "stall" (do nothing until release()),
        "slow" (wait `seconds`, then carry it out). `times` None: for ever. `match`: only URLs that contain this text."""
        fault = Fault(kind, does, **how)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self):
        """Ends every fault; what stalled goes on."""
        with self._lock:
            faults, self._faults = self._faults, []
        for fault in faults:
            fault.released.set()

    def take(self, kind, path):
        """The fault that this request meets, or None."""
        with self._lock:
            for fault in self._faults:
                if fault.kind != kind or (fault.match and fault.match not in path):
                    continue
                if fault.probability < 1 and self._random.random() >= fault.probability:
                    continue
                fault.met += 1
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self._faults.remove(fault)
                return fault
        return None

    def due(self):
        """When what is accepted now will be committed."""
        lag = self.commit_lag
        if isinstance(lag, (tuple, list)):
            with self._lock:
                lag = self._random.uniform(*lag)
        return time.monotonic() + lag
