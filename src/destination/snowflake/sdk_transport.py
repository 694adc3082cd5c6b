"""Rows into Snowpipe Streaming by the official SDK. Runs in etl-stream's Python thread, made by sdk_transport.cpp.

Every method answers (kind, value): "ok" with what it returns; "busy" when rows have to wait; "invalid" and "fenced" for a
channel that has to be opened again; "refused" for what only the user can mend; "failed" for the rest, with the SDK's text.
"""

import json
import os
import time
from urllib.parse import urlsplit

# The version whose private append was looked at, and that append's signature.
KNOWN_VERSION = "1.9.1"
KNOWN_APPEND = "($self, rows, num_rows, future_id, start_offset_token=None, end_offset_token=None)"

BUSY = {"ReceiverSaturated", "MemoryThresholdExceeded", "MemoryThresholdExceededInContainer"}
REFUSED = {"ConfigError", "InvalidArgument"}
INVALID = {"InvalidChannelError", "ClosedChannelError", "ChannelClosedByUser", "ChannelNotFound"}
FENCED = ("STALE_CONTINUATION_TOKEN_SEQUENCER", "INVALID_CLIENT_SEQUENCER")


def answered(method):
    def call(*arguments):
        try:
            return "ok", method(*arguments)
        except Exception as failure:
            kind, text = kind_of(failure)
            if kind is None:
                raise
            return kind, text

    return call


def kind_of(failure):
    """(kind, text) of an exception of the SDK: its own classes, or a RuntimeError with JSON out of its native part."""
    text = str(failure)
    code = getattr(getattr(failure, "error_code", None), "value", None)
    if code is None and isinstance(failure, RuntimeError):
        try:
            code = json.loads(text)["error_code"]
        except (ValueError, KeyError, TypeError):
            code = "Fatal"
    if code is None:
        return ("failed", text) if isinstance(failure, TimeoutError) else (None, text)
    if any(word in text for word in FENCED):
        return "fenced", text
    for kind, codes in (("busy", BUSY), ("refused", REFUSED), ("invalid", INVALID)):
        if code in codes:
            return kind, text
    return "failed", text


class Transport:
    def __init__(self, config):
        os.environ["SS_LOG_LEVEL"] = "warn"  # both are read when the SDK is imported
        os.environ["SS_LOG_TARGET"] = "stderr"
        if config["ca_file"]:
            os.environ["SSL_CERT_FILE"] = config["ca_file"]
        import msgspec
        from snowflake.ingest import streaming
        from snowflake.ingest.streaming import _python_ffi, _version

        self.raw = msgspec.Raw
        self.make_client = streaming.StreamingIngestClient
        signature = getattr(_python_ffi.PyChannel.append_rows, "__text_signature__", None)
        self.private_append = _version.__version__ == KNOWN_VERSION and signature == KNOWN_APPEND
        self.config = config
        self.clients = {}  # by table
        self.channels = {}  # by name: (client, channel)
        self.unflushed = set()
        self.checked = {}  # by name: when the channel itself was asked last

    def properties(self):
        config = self.config
        url = urlsplit(config["endpoint"] or f"https://{config['account']}.snowflakecomputing.com")
        found = {
            "account": config["account"], "user": config["user"], "private_key": config["private_key"],
            "scheme": url.scheme, "host": url.hostname, "port": url.port or 443, "authorization_type": "JWT",
            "enable_telemetry_reporting": "false", "channel_status_cache_refresh_interval_seconds": 0,
            # The defaults are hours.
            "mgmt_retry_total_backoff_seconds": 30, "data_retry_total_backoff_seconds": 60,
            "open_channel_409_retry_total_backoff_seconds": 60,
        }
        if config["role"]:
            found["role"] = config["role"]
        if config["passphrase"]:
            found["private_key_passphrase"] = config["passphrase"]
        if config["endpoint"]:
            # What is not Snowflake's public address may have no way to the cloud's storage: rows stay in the requests.
            found.update(max_rowset_payload_size_mb=16, max_buffered_kb_for_rowset_mode=9999999)
        return found

    @answered
    def open(self, table, name):
        client = self.clients.get(table)
        if client is None:
            client = self.clients[table] = self.make_client(
                f"etl-stream {self.config['pipeline']}", self.config["database"], self.config["schema"],
                f"{table}-STREAMING", properties=self.properties())
        channel, status = client.open_channel(name)
        self.channels[name] = client, channel
        return self.told(status)

    @answered
    def append(self, name, rows, count, first, last):
        _, channel = self.channels[name]
        if self.private_append:
            channel._channel.append_rows(rows, count, None, first, last)
        else:
            channel.append_rows([self.raw(row) for row in rows.splitlines()], first, last)
        self.unflushed.add(name)

    @answered
    def status(self, names):
        """A tuple for each name. A channel whose requests have failed looks well from outside: now and then each is asked
        itself, which raises."""
        by_client, now = {}, time.monotonic()
        for name in names:
            client, channel = self.channels[name]
            if name in self.unflushed:
                self.unflushed.discard(name)
                channel.initiate_flush()
            elif now - self.checked.get(name, 0) > 0.5:
                self.checked[name] = now
                channel.get_channel_status()
            by_client.setdefault(client, []).append(name)
        found = {}
        for client, wanted in by_client.items():
            found.update(client.get_channel_statuses(wanted))
        return [self.told(found[name]) if name in found else None for name in names]

    @staticmethod
    def told(status):
        return (
            status.latest_committed_offset_token or "", status.rows_inserted_count, status.rows_error_count,
            status.last_error_message or "", status.last_error_offset_token_upper_bound or "",
            status.status_code in ("SUCCESS", "ACTIVE", "0"),
        )

    @answered
    def close(self):
        """Gives up what is not committed: the stream brings it again. The SDK's finalisers find nothing to do."""
        clients, channels = list(self.clients.values()), list(self.channels.values())
        self.clients, self.channels = {}, {}
        for client in clients:
            try:
                client.close(wait_for_flush=False, timeout_seconds=0)
            except Exception:
                pass  # closed or invalid already; nothing is asked of it any more
        for _, channel in channels:
            channel._channel = None
        for client in clients:
            client._client = None
