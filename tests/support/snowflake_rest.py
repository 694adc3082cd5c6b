"""A plain client of Snowflake's REST interfaces, for tests: one request at a time, nothing tried again."""

import base64
import hashlib
import http.client
import json
import ssl
import subprocess
import time
import urllib.parse

import zstandard


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def make_jwt(key_pair, account, user, lifetime=3000, issued=None, signed_by=None):
    """A key-pair JWT as the documentation describes it. `signed_by`: another key than the one whose fingerprint it has."""
    name = f"{account}.{user}".upper()
    issued = int(time.time()) if issued is None else issued
    claims = {"iss": f"{name}.{key_pair.fingerprint()}", "sub": name, "iat": issued, "exp": issued + lifetime}
    head = base64url(json.dumps({"alg": "RS256", "typ": "JWT"}).encode()) + b"." + base64url(json.dumps(claims).encode())
    key = (signed_by or key_pair).private
    signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(key)], input=head, stdout=subprocess.PIPE, check=True)
    return (head + b"." + base64url(signature.stdout)).decode()


class Answer:
    def __init__(self, status, body):
        self.status = status
        self.text = body.decode()
        try:
            self.json = json.loads(body)
        except ValueError:
            self.json = None

    @property
    def code(self):
        """Of an error."""
        return self.json["code"]

    def __repr__(self):
        return f"{self.status} {self.text[:300]}"


class Rest:
    """One connection to an account, with its user's key. `account` is a Standin, or anything that has its names: host,
    port, ca_file (None: the system's), database, account, user, key_pair."""

    def __init__(self, account, jwt=None, timeout=20):
        context = ssl.create_default_context(cafile=account.ca_file and str(account.ca_file))
        self.connection = http.client.HTTPSConnection(account.host, account.port, context=context, timeout=timeout)
        self.database = account.database
        self.host = account.host
        self.jwt = jwt or make_jwt(account.key_pair, account.account, account.user)
        self.token = None

    def request(self, method, path, body=None, **headers):
        """Raises OSError or http.client.HTTPException when no answer comes."""
        if isinstance(body, (dict, list)):
            body, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        headers["Authorization"] = f"Bearer {self.token or self.jwt}"
        try:
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
            return Answer(response.status, response.read())
        except BaseException:
            self.connection.close()
            raise

    def log_in(self):
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": self.jwt, "scope": self.host}
        self.token = None
        answer = self.request("POST", "/oauth/token", urllib.parse.urlencode(form).encode(),
                              **{"Content-Type": "application/x-www-form-urlencoded"})
        if answer.status == 200:
            self.token = answer.json["token"] if isinstance(answer.json, dict) else answer.text
        return answer

    def close(self):
        self.connection.close()

    # Streaming

    def pipe(self, table, schema="PUBLIC"):
        names = [urllib.parse.quote(name, safe="") for name in (self.database, schema, f"{table}-STREAMING")]
        return "databases/{}/schemas/{}/pipes/{}".format(*names)

    def open(self, table, channel, **asked):
        return self.request("PUT", f"/v2/streaming/{self.pipe(table)}/channels/{channel}", asked)

    def append(self, table, channel, token, rows, offset):
        body = rows if isinstance(rows, bytes) else b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        query = urllib.parse.urlencode({"continuationToken": token, "offsetToken": offset})
        return self.request("POST", f"/v2/streaming/data/{self.pipe(table)}/channels/{channel}/rows?{query}",
                            zstandard.ZstdCompressor(1).compress(body),
                            **{"Content-Type": "application/x-ndjson", "Content-Encoding": "zstd"})

    def status(self, table, channel):
        """The channel's status; None when there is no such channel."""
        answer = self.request("POST", f"/v2/streaming/{self.pipe(table)}:bulk-channel-status", {"channel_names": [channel]})
        assert answer.status == 200, answer
        return answer.json["channel_statuses"].get(channel)

    def drop(self, table, channel):
        return self.request("DELETE", f"/v2/streaming/{self.pipe(table)}/channels/{channel}")

    # SQL

    def sql(self, statement, query="", **asked):
        body = {"statement": statement, "database": self.database, "schema": "PUBLIC", **asked}
        return self.request("POST", f"/api/v2/statements{query}", body)
