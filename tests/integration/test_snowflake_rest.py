"""Account, SQL API and REST transport against the stand-in, over TLS."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from support.etl import wait_until
from support.snowflake_standin import Standin

BUILD = Path(os.environ.get("ETL_BUILD", "build"))
FEEDER = BUILD / "tests/unit/destination_snowflake/feed_rest_transport"
CHANNEL = "shop.public.orders.0of1"


@pytest.fixture(scope="module")
def snowflake():
    with Standin(seed=1) as standin:
        (standin.directory / "connection.json").write_text(json.dumps(
            {"url": standin.url, "ca_file": str(standin.ca_file), "private_key": str(standin.key_pair.private)}))
        yield standin


@pytest.fixture
def table(snowflake, request):
    yield request.node.name.upper()
    snowflake.faults.clear()
    snowflake.hold_commits(False)


def start(snowflake, table, commit=1, batches=3, rows=10):
    return subprocess.Popen(
        [FEEDER, snowflake.directory, snowflake.account, snowflake.user, snowflake.database, "PUBLIC", table, CHANNEL,
         str(commit), str(batches), str(rows)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    out, complaints = process.communicate(timeout=120)
    assert out, complaints
    return json.loads(out)


def feed(snowflake, table, **what):
    return finish(start(snowflake, table, **what))


def last(commit, rows):
    return f"{commit:016X}{2 * (rows - 1):016X}"


def all_there(told, batches=3, rows=10):
    assert "error" not in told, told
    count = str(batches * rows)
    assert told["found"] == [count, count, last(batches, rows)]
    assert told["status"] == {"committed": last(batches, rows), "inserted": batches * rows, "errors": 0, "valid": True}


def test_rows_arrive(snowflake, table):
    told = feed(snowflake, table)
    assert told["opened"] == {"committed": "", "inserted": 0, "errors": 0, "valid": True}
    all_there(told)
    told = feed(snowflake, table, commit=4, batches=1)
    assert told["opened"]["committed"] == last(3, 10)
    assert told["found"][0] == "40"


def test_the_documented_form_of_answers(snowflake, table):
    snowflake.documented_answers = not snowflake.documented_answers
    all_there(feed(snowflake, table))
    snowflake.documented_answers = not snowflake.documented_answers


@pytest.mark.parametrize("kind", ["hostname", "open", "append", "status", "sql"])
@pytest.mark.parametrize("does", ["lose_answer", "lose_request"])
def test_lost_words_are_said_again(snowflake, table, kind, does):
    snowflake.faults.add(kind, does, times=1 if kind == "hostname" else 2)
    all_there(feed(snowflake, f"T_{kind}_{does}".upper()))


@pytest.mark.parametrize("kind", ["open", "append", "status", "sql"])
@pytest.mark.parametrize("code", ["ERR_TOO_MANY_REQUESTS", "ERR_INTERNAL", "ERR_SERVICE_UNAVAILABLE", "EXPIRED_TOKEN"])
def test_what_passes_is_tried_again(snowflake, table, kind, code):
    snowflake.faults.add(kind, "error", code=code)
    all_there(feed(snowflake, f"T_{kind}_{code}"))


@pytest.mark.parametrize("code, expected", [
    ("STALE_CONTINUATION_TOKEN_SEQUENCER", "snowflake.fenced"),
    ("ERR_CHANNEL_MUST_BE_REOPENED", "snowflake.channel_invalid"),
    ("ERR_PIPE_DOES_NOT_EXIST_OR_NOT_AUTHORIZED", "snowflake.channel_invalid"),
])
def test_ends_of_a_session_are_named(snowflake, table, code, expected):
    snowflake.faults.add("append", "error", code=code)
    assert feed(snowflake, f"T_{code}")["error"] == expected


def test_too_large_a_request_is_cut(snowflake, table):
    snowflake.faults.add("append", "error", code="ERR_PAYLOAD_TOO_LARGE")
    all_there(feed(snowflake, table))


def test_rows_of_an_earlier_session_are_waited_for(snowflake, table):
    all_there(feed(snowflake, table))
    snowflake.hold_commits()
    first = start(snowflake, table, commit=4, batches=1)
    wait_until(lambda: any(c.accepted_rows == 40 for (of, _), c in snowflake.channels().items() if of == table),
               "the rows are accepted")
    first.kill()
    first.communicate()
    second = start(snowflake, table, commit=5, batches=1)
    asked = snowflake.requests["open"]
    wait_until(lambda: snowflake.requests["open"] > asked + 2, "the second asks again and again")
    snowflake.hold_commits(False)
    told = finish(second)
    assert told["opened"]["committed"] == last(4, 10)
    assert told["found"] == ["50", "50", last(5, 10)]
