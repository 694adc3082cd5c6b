"""The SDK in etl-stream's Python thread, fed with finished lines, against the stand-in."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.snowflake_standin import Standin

BUILD = Path(os.environ.get("ETL_BUILD", "build"))
FEEDER = BUILD / "tests/unit/destination_snowflake/feed_sdk_transport"


@pytest.fixture(scope="module")
def snowflake():
    with Standin(seed=1) as standin:
        (standin.directory / "connection.json").write_text(json.dumps(
            {"url": standin.url, "ca_file": str(standin.ca_file), "private_key": str(standin.key_pair.private)}))
        yield standin


@pytest.fixture
def table(snowflake, request):
    name = request.node.name.upper()
    snowflake.sql(f'CREATE TABLE {name} ("_etl_position" VARCHAR, "_etl_operation" VARCHAR, "id" NUMBER, "note" VARCHAR)')
    yield name
    snowflake.faults.clear()
    snowflake.hold_commits(False)
    snowflake.refuse_rows(("ANALYTICS", "PUBLIC", name))


def start(snowflake, table, commit=1, batches=3, rows=10):
    return subprocess.Popen(
        [FEEDER, sys.prefix, snowflake.directory, snowflake.account, snowflake.user, snowflake.database, "PUBLIC",
         table, "shop.public.orders.0of1", str(commit), str(batches), str(rows)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def feed(snowflake, table, **what):
    process = start(snowflake, table, **what)
    out, complaints = process.communicate(timeout=120)
    assert out, complaints
    return json.loads(out), process.returncode, complaints


def test_rows_are_committed_as_they_were_encoded(snowflake, table):
    told, status, complaints = feed(snowflake, table)
    assert (status, complaints) == (0, "")
    assert told["opened"] == {"committed": "", "inserted": 0, "errors": 0}
    last = f"{3:016X}{18:016X}"
    assert told["status"] == {"committed": last, "inserted": 30, "errors": 0}
    assert snowflake.sql(f'SELECT COUNT(*), COUNT(DISTINCT "_etl_position"), MAX("_etl_position") FROM {table}') == [
        ["30", "30", last]]
    told, status, _ = feed(snowflake, table, commit=4, batches=1)
    assert told["opened"] == {"committed": last, "inserted": 30, "errors": 0}
    assert told["status"]["inserted"] == 40


def test_an_sdk_that_is_not_known_gets_each_row_by_the_public_call(snowflake, table):
    script = f"""
import runpy, sys, time
made = runpy.run_path("src/destination/snowflake/sdk_transport.py")["Transport"]({{
    "pipeline": "p", "account": {snowflake.account!r}, "endpoint": {snowflake.url!r}, "ca_file": {str(snowflake.ca_file)!r},
    "user": {snowflake.user!r}, "private_key": open({str(snowflake.key_pair.private)!r}).read(), "passphrase": "",
    "role": "", "database": {snowflake.database!r}, "schema": "PUBLIC"}})
assert made.private_append
made.private_append = False
print(made.open({table!r}, "c"))
print(made.append("c", b'{{"id":1,"note":"\\u2028"}}\\n{{"id":2}}\\n', 2, "01", "02"))
while made.status(["c"])[1][0][0] != "02":
    time.sleep(0.02)
print(made.status(["c"]))
print(made.close())
"""
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert out.stderr == ""
    assert out.stdout.splitlines() == [
        "('ok', ('', 0, 0, '', '', True))", "('ok', None)", "('ok', [('02', 2, 0, '', '', True)])", "('ok', None)"]
    assert snowflake.sql(f'SELECT "id" FROM {table} ORDER BY 1') == [["1"], ["2"]]


def test_refused_rows_show_in_the_status(snowflake, table):
    snowflake.sql(f'ALTER TABLE {table} DROP COLUMN "note"')
    told, _, _ = feed(snowflake, table, batches=1)
    assert told["status"]["errors"] == 10
    assert told["status"]["inserted"] == 0


def test_a_channel_taken_over_is_noticed(snowflake, table):
    snowflake.hold_commits()
    process = start(snowflake, table)
    from support.etl import wait_until

    wait_until(lambda: any(c.accepted_rows == 30 for (of, _), c in snowflake.channels().items() if of == table),
               "the rows are accepted")
    snowflake.invalidate("STALE_CONTINUATION_TOKEN_SEQUENCER")
    out, _ = process.communicate(timeout=60)
    told = json.loads(out)
    assert "error" not in told  # nothing is sent any more: the status tells that it is not valid
    assert told["status"]["committed"] == ""


def test_a_lost_session_ends_the_append(snowflake, table):
    snowflake.faults.add("append", "error", code="STALE_CONTINUATION_TOKEN_SEQUENCER", status=400)
    told, status, _ = feed(snowflake, table)
    assert status == 1
    assert told["error"] == "snowflake.fenced"
    assert "token" not in told["text"]
