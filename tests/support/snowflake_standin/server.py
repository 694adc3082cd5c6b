"""HTTP over TLS: routes, authentication, faults. What happens is the service's and the SQL API's business."""

import base64
import gzip
import http.server
import json
import re
import socket
import ssl
import threading
import time
import urllib.parse

import zstandard

from .authentication import Refused
from .channels import Failure

MOST_BYTES = 4 * 1024 * 1024

PIPE = r"databases/([^/]+)/schemas/([^/]+)/pipes/([^/]+)"
ROUTES = [
    ("token", "POST", r"/oauth/token"),
    ("hostname", "GET", r"/v2/streaming/hostname"),
    ("open", "PUT", rf"/v2/streaming/{PIPE}/channels/([^/]+)"),
    ("drop", "DELETE", rf"/v2/streaming/{PIPE}/channels/([^/]+)"),
    ("append", "POST", rf"/v2/streaming/data/{PIPE}/channels/([^/]+)/rows"),
    ("status", "POST", rf"/v2/streaming/{PIPE}:bulk-channel-status"),
    ("pipe_info", "POST", rf"/v2/streaming/{PIPE}:pipe-info"),
    ("telemetry", "POST", r"/telemetry/send/sessionless"),
    ("sql", "POST", r"/api/v2/statements"),
    ("sql_status", "GET", r"/api/v2/statements/([^/]+)"),
    ("sql_cancel", "POST", r"/api/v2/statements/([^/]+)/cancel"),
    ("control", "POST", r"/standin/(\w+)"),
]
ROUTES = [(kind, method, re.compile(pattern)) for kind, method, pattern in ROUTES]


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, standin, certificates, port=0):
        self.standin = standin
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificates.certificate, certificates.key)
        self._lock = threading.Lock()
        self._connections = set()
        super().__init__(("127.0.0.1", port), Handler)

    def get_request(self):
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The handshake is the handler's: a client that says nothing must not hold up the others.
        secured = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._connections.add(secured)
        return secured, address

    def shutdown_request(self, request):
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        """A client that went away is no event; anything else is a defect of the stand-in."""
        import sys

        if not isinstance(sys.exception() if hasattr(sys, "exception") else sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def disconnect_all(self):
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "standin"
    wbufsize = -1  # one write a response
    timeout = 600

    def log_message(self, *arguments):
        pass

    def handle_one_request(self):
        super().handle_one_request()
        if not self.close_connection:
            self.wfile.flush()

    def route(self):
        url = urllib.parse.urlsplit(self.path)
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:  # the client died in the middle of it: that is no request
            self.close_connection = True
            return None
        for kind, method, pattern in ROUTES:
            if method == self.command and (found := pattern.fullmatch(url.path)):
                names = [urllib.parse.unquote(name) for name in found.groups()]
                query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
                return self.meet_fault(kind, names, query, body)
        self.answer(404, {"code": "ERR_NOT_FOUND", "message": f"{self.command} {url.path}"})

    do_GET = do_PUT = do_POST = do_DELETE = route

    def meet_fault(self, kind, names, query, body):
        standin = self.server.standin
        standin.count(kind, self.command, self.path)
        fault = standin.faults.take("sql" if kind.startswith("sql") else kind, self.path) if kind != "control" else None
        if fault is None:
            return self.answer(*self.carry_out(kind, names, query, body))
        if fault.does == "slow":
            fault.released.wait(fault.seconds)
            return self.answer(*self.carry_out(kind, names, query, body))
        if fault.does == "error":
            return self.answer(fault.status, {"code": fault.code or "", "message": f"as told: {fault.code}"})
        if fault.does == "lose_answer":
            self.carry_out(kind, names, query, body)
        elif fault.does == "stall":
            fault.released.wait()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def carry_out(self, kind, names, query, body):
        """(HTTP status, what to answer with)."""
        try:
            if kind not in ("token", "control", "telemetry"):
                self.check_authorization(kind)
            return getattr(self, f"do_{kind}")(names, query, body)
        except Failure as failure:
            return failure.status, {"code": failure.code, "message": failure.message}
        except Refused as reason:
            self.server.standin.refusals.append(str(reason))
            return 401, {"code": "390144", "message": "JWT token is invalid."}

    def check_authorization(self, kind):
        bearer = self.headers.get("Authorization", "")
        if not bearer.startswith("Bearer "):
            raise Refused("no bearer token")
        self.server.standin.authentication.check(bearer[7:], jwt_allowed=kind.startswith("sql") or kind == "hostname")

    def answer(self, status, content):
        if isinstance(content, str):
            payload, kind = content.encode(), "text/plain"
        else:
            payload, kind = json.dumps(content).encode(), "application/json"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    # Authentication

    def do_token(self, names, query, body):
        form = dict(urllib.parse.parse_qsl(body.decode()))
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return 400, {"error": "unsupported_grant_type"}
        jwt = form.get("assertion")
        if jwt is None and self.headers.get("Authorization", "").startswith("Bearer "):
            jwt = self.headers["Authorization"][7:]  # as the official SDK sends it
        if jwt is None:
            raise Refused("no JWT")
        authentication = self.server.standin.authentication
        authentication.check_jwt(jwt)
        token = authentication.issue()
        return 200, {"token": token} if self.server.standin.documented_answers else token

    def do_hostname(self, names, query, body):
        host = self.server.standin.host
        return 200, {"hostname": host} if self.server.standin.documented_answers else host

    # Streaming

    def pipe(self, names):
        return self.server.standin.service.pipe(*names[:3])

    def do_pipe_info(self, names, query, body):
        pipe = self.pipe(names)
        # Nothing is ever uploaded there: the stand-in has no cloud storage.
        location = {
            "location_type": "S3", "location": "nowhere/", "region": "us-east-1", "use_s3_regional_url": False,
            "bucket_name": "nowhere", "path_prefix": "", "expiry_time_ms": int(time.time() * 1000) + 3_600_000,
            "creds": {"AWS_KEY_ID": "none", "AWS_SECRET_KEY": "none", "AWS_TOKEN": "none"},
        }
        key = base64.b64encode(bytes(32)).decode()
        return 200, {
            "database_name": pipe.database, "schema_name": pipe.schema, "pipe_name": pipe.name,
            "rowset_stage_location": location, "durable_stage_location": location,
            "encryption_info": {"pipe_key": key, "pipe_key_id": 1, "diversifier": "none", "encryption_key": key},
        }

    def do_open(self, names, query, body):
        asked = json.loads(body or b"{}")
        return 200, self.server.standin.service.open(
            self.pipe(names), names[3], asked.get("offset_token"), bool(asked.get("fail_on_uncommitted_rows"))
        )

    def do_append(self, names, query, body):
        if len(body) > MOST_BYTES:
            raise Failure("ERR_PAYLOAD_TOO_LARGE", "The request is larger than 4 MB.", 413)
        encoding = self.headers.get("Content-Encoding", "")
        if encoding == "zstd":
            body = b"".join(zstandard.ZstdDecompressor().read_to_iter(body, read_size=len(body)))
        elif encoding == "gzip":
            body = gzip.decompress(body)
        end = query.get("endOffsetToken", query.get("offsetToken"))
        return 200, self.server.standin.service.append(
            self.pipe(names), names[3], query.get("continuationToken"), body, query.get("startOffsetToken"), end
        )

    def do_status(self, names, query, body):
        return 200, self.server.standin.service.status(self.pipe(names), json.loads(body)["channel_names"])

    def do_drop(self, names, query, body):
        return 200, self.server.standin.service.drop(self.pipe(names), names[3])

    def do_telemetry(self, names, query, body):
        return 200, {"success": True}

    # SQL API

    def do_sql(self, names, query, body):
        return self.server.standin.statements.submit(json.loads(body), query.get("requestId"), query.get("async") == "true")

    def do_sql_status(self, names, query, body):
        return self.server.standin.statements.poll(names[0])

    def do_sql_cancel(self, names, query, body):
        return self.server.standin.statements.cancel(names[0])

    # For tests that run in another process

    def do_control(self, names, query, body):
        try:
            return 200, {"result": self.server.standin.control(names[0], json.loads(body or b"{}"))}
        except Exception as failure:
            return 400, {"message": repr(failure)}
