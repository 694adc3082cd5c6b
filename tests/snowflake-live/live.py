"""Tries on a real account what the tests take for granted; see README.md."""

import argparse
import base64
import hashlib
import os
import random
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support.etl import Pipeline, wait_until  # noqa: E402
from support.postgres import Cluster  # noqa: E402
from support.snowflake_rest import Rest  # noqa: E402
from support.snowflake_standin.certificates import openssl  # noqa: E402

BUCKETS = 64


class Key:
    """The user's private key, as Rest wants it."""

    def __init__(self, path, passphrase, directory):
        plain = openssl("pkey", "-in", path, *(("-passin", f"pass:{passphrase}") if passphrase else ()))
        self.private = Path(directory) / "key.pem"
        self.private.touch(mode=0o600)
        self.private.write_bytes(plain)

    def fingerprint(self):
        der = openssl("pkey", "-in", self.private, "-pubout", "-outform", "DER")
        return "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode()


class Account:
    def __init__(self, options, directory):
        self.options = options
        url = urllib.parse.urlsplit(options.url or f"https://{options.account}.snowflakecomputing.com")
        self.url, self.host, self.port = url.geturl(), url.hostname, url.port or 443
        self.ca_file, self.database, self.account, self.user = options.ca_file, options.database, options.account, options.user
        passphrase = os.environ[options.passphrase_env] if options.passphrase_env else None
        self.key_pair = Key(options.private_key, passphrase, directory)
        self.schema = f"ETL_LIVE_{random.SystemRandom().randrange(10**8)}"
        self.rest = Rest(self, timeout=120)

    def sql(self, statement, schema=None):
        """The rows. Raises when Snowflake refuses."""
        asked = {"warehouse": self.options.warehouse, "schema": schema, "timeout": 300}
        if self.options.role:
            asked["role"] = self.options.role
        answer = self.rest.sql(statement, **{name: value for name, value in asked.items() if value})
        while answer.status == 202:
            time.sleep(0.2)
            answer = self.rest.request("GET", f"/api/v2/statements/{answer.json['statementHandle']}")
        if answer.status != 200:
            raise RuntimeError(f"{statement[:200]}: {answer}")
        return answer.json["data"]

    def streaming(self):
        """A client of the streaming host, logged in."""
        client = Rest(self)
        answer = client.request("GET", "/v2/streaming/hostname")
        host = answer.json["hostname"] if isinstance(answer.json, dict) else answer.text.strip()
        client.close()
        ingest = argparse.Namespace(**vars(self))
        ingest.host = host.replace("_", "-") if host.endswith("snowflakecomputing.com") else host
        client = Rest(self)
        assert client.log_in().status == 200, "the token was refused"
        token, client = client.token, Rest(ingest)
        client.token = token
        return client


class Findings:
    def __init__(self):
        self.failed = 0

    def tell(self, what, as_expected, found=""):
        self.failed += not as_expected
        print(f"{'as expected' if as_expected else 'DIFFERENT  '}  {what}" + (f": {found}" if found != "" else ""), flush=True)


def semantics(account, findings):
    """The seven, by plain REST."""
    schema = account.schema
    account.sql(f"CREATE TABLE {schema}.T (ID NUMBER, NOTE VARCHAR DEFAULT 'none')")
    rest = account.streaming()
    rest.pipe = lambda table: f"databases/{account.database}/schemas/{schema}/pipes/{table}-STREAMING"

    def rows(first, count):
        return [{"ID": number, "NOTE": "x"} for number in range(first, first + count)]

    def committed(channel, offset):
        def reached():
            status = rest.status("T", channel)
            return status if status and status["last_committed_offset_token"] == offset else None

        return wait_until(reached, f"offset {offset} committed", 120)

    def present():
        return [int(row[0]) for row in account.sql(f"SELECT ID FROM {schema}.T ORDER BY ID")]

    token = rest.open("T", "a").json["next_continuation_token"]
    first = rest.append("T", "a", token, rows(1, 3), "3")
    status = rest.status("T", "a")
    findings.tell("3. accepted is not committed", status["last_committed_offset_token"] is None, status)
    again = rest.append("T", "a", token, rows(1, 3), "3")
    findings.tell("2. a token sent again is answered alike", (again.status, again.text) == (first.status, first.text), again)
    committed("a", "3")
    findings.tell("2. and its rows are dropped", present() == [1, 2, 3], present())
    rest.open("T", "a")
    stale = rest.append("T", "a", first.json["next_continuation_token"], rows(4, 1), "4")
    findings.tell("1. an older session's token is stale", stale.status == 400, stale)
    token = rest.open("T", "b").json["next_continuation_token"]
    rest.append("T", "b", token, rows(10, 2), "11")
    refused = rest.open("T", "b", fail_on_uncommitted_rows=True)
    findings.tell("4. opening is refused while rows are in flight", refused.status == 409, refused)
    opened = rest.open("T", "b")
    lost = opened.json["channel_status"]["last_committed_offset_token"] is None
    findings.tell("4. opening without asking discards them", lost, opened)
    token = opened.json["next_continuation_token"]
    rest.append("T", "b", token, [{"ID": "bad"}, {"ID": 20}, {"ID": 21, "NOBODY": 1}], "22")
    status = committed("b", "22")
    findings.tell("5. bad rows are skipped and counted", int(status["rows_error_count"]) >= 1, status)
    findings.tell("5. a column that the table has not makes a bad row", int(status["rows_error_count"]) == 2, present())
    default = account.sql(f"SELECT NOTE FROM {schema}.T WHERE ID = 20")
    findings.tell("7. DEFAULT does not apply", default == [[None]], default)
    rest.drop("T", "b")
    opened = rest.open("T", "b").json["channel_status"]
    findings.tell("6. a dropped channel begins anew", opened["last_committed_offset_token"] is None, opened)
    rest.close()


class LivePipeline(Pipeline):
    def __init__(self, directory, cluster, account, transport, apply):
        super().__init__(directory, (cluster, "shop"), Path(directory), f"live_{transport}_{apply}")
        options = account.options
        self.account = account
        self.sections["destination"] = {
            "type": "snowflake", "account": account.account, "user": account.user, "endpoint": account.url,
            "private_key": {"file": str(account.key_pair.private)}, "database": account.database,
            "schema": account.schema, "landing_schema": f"{account.schema}_LANDING", "warehouse": options.warehouse,
            "transport": transport, "apply": apply, "apply_every": "10s" if apply == "merge" else "1min",
        }
        if options.ca_file:
            self.sections["destination"]["ca_file"] = options.ca_file
        if options.role:
            self.sections["destination"]["role"] = options.role
        self.configure(python={"venv": str(ROOT / ".cache" / "venv")}, copy={"existing_rows": "replace"})

    def fingerprints(self, table):
        """Of both sides: by bucket of keys, the count and a hash of the rows in order."""
        ours = self.source(
            f"SELECT id % {BUCKETS}, count(*), md5(string_agg(id || '|' || coalesce(n::text, '~') || '|' || coalesce(note, '~'),"
            f" ',' ORDER BY id)) FROM {table} GROUP BY 1 ORDER BY 1"
        )
        theirs = self.account.sql(
            f"""SELECT "id" % {BUCKETS}, COUNT(*), MD5(LISTAGG("id" || '|' || COALESCE(TO_VARCHAR("n"), '~') || '|' ||"""
            f""" COALESCE("note", '~'), ',') WITHIN GROUP (ORDER BY "id")) FROM {self.account.schema}."{table}" """
            "GROUP BY 1 ORDER BY 1"
        )
        return [tuple(map(str, row)) for row in ours], [tuple(row) for row in theirs]

    def equal(self, table):
        ours, theirs = self.fingerprints(table)
        return ours == theirs


def replicate(account, cluster, directory, findings, transport, apply, rows):
    """Copy, stream and kills, until both sides are equal."""
    table = f"t_{transport}_{apply}"
    cluster.sql("shop", f"CREATE TABLE {table} (id int PRIMARY KEY, n int, note text);"
                        f"INSERT INTO {table} SELECT i, i, md5(i::text) FROM generate_series(1, {rows}) i")
    pipeline = LivePipeline(directory, cluster, account, transport, apply)
    pipeline.configure(source={"tables": [table]})
    began = time.monotonic()
    pipeline.start()
    pipeline.wait_confirmed(seconds=600)
    seconds = time.monotonic() - began
    findings.tell(f"{transport}, {apply}: {rows} rows copied and committed", True, f"{rows / seconds:.0f} rows/s")
    for number in range(3):
        cluster.sql("shop", f"UPDATE {table} SET n = n + 1 WHERE id % 7 = {number}; DELETE FROM {table} WHERE id % 1000 = {number};"
                            f"INSERT INTO {table} SELECT i, -i, NULL FROM generate_series({rows} + 1 + {number} * 100, {rows} + 100 + {number} * 100) i")
        time.sleep(random.uniform(0.2, 3))  # the moment of the kill is what is random
        pipeline.kill()
        pipeline.start()
    pipeline.wait_confirmed(seconds=600)
    try:
        pipeline.wait_until(lambda: pipeline.equal(table), "both sides equal", 300)
        findings.tell(f"{transport}, {apply}: equal after 3 kills", True)
    except AssertionError as failure:
        findings.tell(f"{transport}, {apply}: equal after 3 kills", False, failure)
    pipeline.stop()
    pipeline.source("SELECT pg_drop_replication_slot(%s)", pipeline.slot)


def main():
    parser = argparse.ArgumentParser(prog="tests/snowflake-live/run", description=__doc__)
    for name in ("account", "user", "private-key", "database", "warehouse"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--passphrase-env", metavar="NAME", help="the environment variable that holds the key's passphrase")
    parser.add_argument("--role")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--transport", choices=("rest", "sdk"), action="append", help="default: both")
    parser.add_argument("--no-task", action="store_true", help="without the part about tasks")
    parser.add_argument("--url", help="default: https://ACCOUNT.snowflakecomputing.com")
    parser.add_argument("--ca-file")
    parser.add_argument("--keep", action="store_true", help="leaves the schemas")
    options = parser.parse_args()

    findings = Findings()
    with tempfile.TemporaryDirectory(prefix="etl-live.") as directory:
        account = Account(options, directory)
        account.sql(f"CREATE SCHEMA {account.database}.{account.schema}")
        account.sql(f"CREATE SCHEMA {account.database}.{account.schema}_LANDING")
        cluster = Cluster()
        try:
            semantics(account, findings)
            cluster.start()
            cluster.create_database("shop")
            for transport in options.transport or ("rest", "sdk"):
                replicate(account, cluster, directory, findings, transport, "merge", options.rows)
            if not options.no_task:
                replicate(account, cluster, directory, findings, "rest", "task", min(options.rows, 10_000))
        finally:
            cluster.remove()
            if not options.keep:
                for schema in (account.schema, f"{account.schema}_LANDING"):
                    account.sql(f"DROP SCHEMA IF EXISTS {account.database}.{schema}")
    print(f"{findings.failed} different" if findings.failed else "everything as expected")
    return 1 if findings.failed else 0


if __name__ == "__main__":
    sys.exit(main())
