"""The stand-in for Snowflake behaves as Snowflake does where data is lost: the seven semantics of the streaming protocol,
by the official SDK alone, and by plain REST where the SDK hides them; then SQL, authentication and faults."""

import hashlib
import http.client
import itertools
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.etl import wait_until
from support.snowflake_rest import Rest, make_jwt
from support.snowflake_standin import Standin

os.environ.update(SS_LOG_LEVEL="error", SS_LOG_TARGET="stderr")  # read at the import
from snowflake.ingest.streaming import StreamingIngestClient, StreamingIngestError  # noqa: E402

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def service():
    with Standin(seed=1) as standin:
        os.environ["SSL_CERT_FILE"] = str(standin.ca_file)
        yield standin


@pytest.fixture
def snowflake(service):
    yield service
    service.faults.clear()
    service.lag_commits(0.02)
    service.hold_commits(False)


@pytest.fixture
def rest(snowflake):
    client = Rest(snowflake)
    assert client.log_in().status == 200
    yield client
    client.close()


@pytest.fixture
def table(snowflake):
    name = f"T{next(numbers)}"
    snowflake.sql(f"CREATE TABLE {name} (ID NUMBER, NOTE VARCHAR DEFAULT 'none')")
    return name


@pytest.fixture
def sdk(snowflake, table):
    """A function that makes clients of the table's pipe."""
    clients = []

    def make(**properties):
        client = StreamingIngestClient(
            f"client {next(numbers)}", snowflake.database, "PUBLIC", f"{table}-STREAMING",
            properties={
                "account": snowflake.account, "user": snowflake.user, "scheme": "https", "host": "localhost",
                "port": snowflake.port, "private_key": snowflake.key_pair.private.read_text(),
                "enable_telemetry_reporting": "false", "mgmt_retry_total_backoff_seconds": 10,
                "data_retry_total_backoff_seconds": 10, "max_rowset_payload_size_mb": 16,
                "max_buffered_kb_for_rowset_mode": 9999999, **properties,
            },
        )
        clients.append(client)
        return client

    yield make
    snowflake.faults.clear()
    snowflake.hold_commits(False)
    for client in clients:
        try:
            client.close(wait_for_flush=False, timeout_seconds=5)
        except StreamingIngestError:
            pass  # closed by the test already, or invalid


def rows(count, first=1):
    return [{"ID": number, "NOTE": f"row {number}"} for number in range(first, first + count)]


def ids(snowflake, table):
    return [int(row[0]) for row in snowflake.sql(f"SELECT ID FROM {table} ORDER BY ID")]


def wait_committed(channel, token):
    wait_until(lambda: channel.get_latest_committed_offset_token() == token, f"{token} committed")


def begin(rest, table, channel="c", **asked):
    answer = rest.open(table, channel, **asked)
    assert answer.status == 200, answer
    return answer.json["next_continuation_token"]


# 1. Opening a channel again ends the older session


def test_opening_again_fences_the_sdk(snowflake, sdk, table):
    first, _ = sdk().open_channel("c")
    first.append_rows(rows(3), "1", "3")
    wait_committed(first, "3")
    second, status = sdk().open_channel("c")
    assert status.latest_committed_offset_token == "3"
    second.append_rows(rows(2, 4), "4", "5")
    wait_committed(second, "5")

    def refused():
        try:
            first.append_rows(rows(1, 100), "100", "100")
            first.wait_for_flush(timeout_seconds=1)
        except (StreamingIngestError, TimeoutError, ValueError) as failure:
            return "nvalid" in f"{failure}"
        return False

    wait_until(refused, "the older session is refused")
    assert ids(snowflake, table) == [1, 2, 3, 4, 5]


def test_tokens_of_an_older_session_are_stale(rest, table):
    token = begin(rest, table)
    following = rest.append(table, "c", token, rows(1), "1").json["next_continuation_token"]
    begin(rest, table)
    for stale in (token, following):
        answer = rest.append(table, "c", stale, rows(1, 2), "2")
        assert (answer.status, answer.code) == (400, "STALE_CONTINUATION_TOKEN_SEQUENCER")


# 2. A request that comes twice counts once


def test_the_sdk_repeats_an_append_whose_answer_was_lost(snowflake, sdk, table):
    channel, _ = sdk().open_channel("c")
    lost = snowflake.faults.add("append", "lose_answer", match=f"/{table}-")
    channel.append_rows(rows(5), "1", "5")
    wait_committed(channel, "5")
    assert lost.met == 1
    wait_until(lambda: snowflake.channel(table, "c").replayed == 1, "the SDK sends it again")
    assert ids(snowflake, table) == [1, 2, 3, 4, 5]


def test_a_repeated_token_is_answered_alike_and_drops_the_rows(snowflake, rest, table):
    token = begin(rest, table)
    first = rest.append(table, "c", token, rows(2), "2")
    again = rest.append(table, "c", token, rows(2), "2")
    assert first.status == again.status == 200 and first.json == again.json
    third = rest.append(table, "c", first.json["next_continuation_token"], rows(1, 3), "3")
    assert third.status == 200
    wait_until(snowflake.idle, "everything is committed")
    assert ids(snowflake, table) == [1, 2, 3]
    assert rest.status(table, "c")["rows_inserted"] == 3


# 3. Accepted is not committed


def test_flushed_is_not_committed(snowflake, sdk, table):
    snowflake.hold_commits()
    channel, _ = sdk().open_channel("c")
    channel.append_rows(rows(4), "1", "4")
    channel.wait_for_flush(timeout_seconds=10)
    assert snowflake.channel(table, "c").accepted_rows == 4
    assert channel.get_latest_committed_offset_token() is None
    assert ids(snowflake, table) == []
    snowflake.hold_commits(False)
    wait_committed(channel, "4")
    assert ids(snowflake, table) == [1, 2, 3, 4]


def test_commits_lag_behind(snowflake, rest, table):
    snowflake.lag_commits(0.4)
    token = begin(rest, table)
    began = time.monotonic()
    assert rest.append(table, "c", token, rows(1), "1").status == 200
    assert rest.status(table, "c")["last_committed_offset_token"] is None
    wait_until(lambda: rest.status(table, "c")["last_committed_offset_token"] == "1", "committed")
    assert time.monotonic() - began >= 0.4


# 4. Opening again loses what is in flight, unless the caller would rather be refused


def test_the_sdk_waits_for_rows_in_flight(snowflake, sdk, table):
    """It asks to be refused, and tries again until they are committed; after two minutes it would open the channel all
    the same, and lose them."""
    snowflake.hold_commits()
    channel, _ = sdk().open_channel("c")
    channel.append_rows(rows(3), "1", "3")
    channel.wait_for_flush(timeout_seconds=10)
    again, opened = sdk(), snowflake.requests["open"]
    with ThreadPoolExecutor(1) as background:
        opening = background.submit(again.open_channel, "c")
        wait_until(lambda: snowflake.requests["open"] > opened + 1, "it tries again")
        assert not opening.done()
        snowflake.hold_commits(False)
        _, status = opening.result(timeout=30)
    assert status.latest_committed_offset_token == "3"
    assert ids(snowflake, table) == [1, 2, 3]


def test_opening_without_asking_loses_rows_in_flight(snowflake, rest, table):
    snowflake.hold_commits()
    token = begin(rest, table)
    assert rest.append(table, "c", token, rows(3), "3").status == 200
    answer = rest.open(table, "c", fail_on_uncommitted_rows=True)
    assert (answer.status, answer.code) == (409, "ERR_CHANNEL_HAS_UNCOMMITTED_DATA")
    answer = rest.open(table, "c")
    assert answer.json["channel_status"]["last_committed_offset_token"] is None
    snowflake.hold_commits(False)
    wait_until(snowflake.idle, "committed")
    assert ids(snowflake, table) == []
    assert rest.status(table, "c")["last_committed_offset_token"] is None


# 5. Bad rows are skipped, the offset goes on, and only the counters tell


def test_the_sdk_learns_of_bad_rows_from_the_counters_alone(snowflake, sdk, table):
    channel, _ = sdk().open_channel("c")
    channel.append_rows([*rows(2), {"ID": "not a number"}, *rows(1, 3)], "1", "4")
    wait_committed(channel, "4")
    status = channel.get_channel_status()
    assert (status.rows_inserted_count, status.rows_error_count, status.rows_parsed_count) == (3, 1, 4)
    assert "not a number" in status.last_error_message
    assert status.last_error_offset_token_upper_bound == "4"
    assert ids(snowflake, table) == [1, 2, 3]


@pytest.mark.parametrize(
    "row",
    [
        b'{"ID": "x"}',
        b'{"ID": [1]}',
        b'{"ID": 1e39}',
        b'{"ID": 1, "OTHER": 1}',
        b'{"id": 1}',
        b'{"ID": 1',
        b'{"ID": NaN}',
    ],
    ids=["text", "array", "too large", "unknown column", "lower case", "cut off", "NaN"],
)
def test_rows_that_do_not_fit(snowflake, rest, table, row):
    token = begin(rest, table)
    assert rest.append(table, "c", token, row + b'\n\n{"ID": 7}\n', "2").status == 200
    wait_until(snowflake.idle, "committed")
    status = rest.status(table, "c")
    assert (status["rows_inserted"], status["rows_error_count"]) == (1, 1), status
    assert status["last_committed_offset_token"] == "2"
    assert ids(snowflake, table) == [7]


# 6. A dropped channel begins anew


def test_a_dropped_channel_has_no_offset(snowflake, sdk, table):
    client = sdk()
    channel, _ = client.open_channel("c")
    channel.append_rows(rows(2), "1", "2")
    wait_committed(channel, "2")
    channel.close(drop=True, timeout_seconds=10)
    _, status = sdk().open_channel("c")
    assert status.latest_committed_offset_token is None
    assert status.rows_inserted_count == 0
    assert ids(snowflake, table) == [1, 2]


def test_a_dropped_channel_is_unknown(rest, table):
    token = begin(rest, table)
    assert rest.drop(table, "c").status == 200
    assert rest.status(table, "c") is None
    assert rest.append(table, "c", token, rows(1), "1").status == 404
    begin(rest, table)
    assert rest.append(table, "c", token, rows(1), "1").code == "STALE_CONTINUATION_TOKEN_SEQUENCER"


# 7. A column that a row does not name becomes NULL, whatever its DEFAULT


def test_defaults_do_not_apply(snowflake, sdk, table):
    channel, _ = sdk().open_channel("c")
    channel.append_rows([{"ID": 1}], "1", "1")
    wait_committed(channel, "1")
    snowflake.sql(f"INSERT INTO {table} (ID) VALUES (2)")
    assert snowflake.sql(f"SELECT ID, NOTE FROM {table} ORDER BY ID") == [["1", None], ["2", "none"]]


# Values


VALUES = [
    ("NUMBER(38,10)", '"1234567890123456789012345678.0123456789"', "1234567890123456789012345678.0123456789"),
    ("NUMBER(10,2)", "12.345", "12.35"),
    ("FLOAT", '"NaN"', "nan"),
    ("BOOLEAN", "true", "true"),
    ("VARCHAR", '"\\u00e4 \\"x\\"\\n"', 'ä "x"\n'),
    ("VARIANT", '{"n": 0.12345678901234567890123}', '{"n": 0.12345678901234567890123}'),
    ("DATE", '"2026-02-03"', "20487"),
    ("TIME", '"01:02:03.5"', "3723.500000000"),
    ("TIMESTAMP_NTZ", '"2026-02-03T04:05:06.123456"', "1770091506.123456000"),
    ("TIMESTAMP_TZ", '"2026-02-03 04:05:06.123456+02"', "1770084306.123456000 1440"),
    ("BINARY", '"00fF"', "00FF"),
]
REFUSED = [("VARCHAR(2)", '"abc"'), ("BOOLEAN", '"maybe"'), ("DATE", '"infinity"'), ("DATE", '"0044-03-15 BC"'),
           ("TIME", '"24:00:00"'), ("TIMESTAMP_TZ", '"infinity"'), ("BINARY", '"\\\\x00"'), ("NUMBER(4,0)", "12345"),
           ("GEOGRAPHY", '"nowhere"')]


def load_one(snowflake, rest, type_, value):
    name = f"V{next(numbers)}"
    snowflake.sql(f"CREATE TABLE {name} (V {type_})")
    token = begin(rest, name)
    assert rest.append(name, "c", token, f'{{"V": {value}}}\n'.encode(), "1").status == 200
    wait_until(snowflake.idle, "committed")
    return snowflake.sql(f"SELECT V FROM {name}"), rest.status(name, "c")["rows_error_count"]


@pytest.mark.parametrize("type_, value, expected", VALUES, ids=[value[0] for value in VALUES])
def test_values(snowflake, rest, type_, value, expected):
    assert load_one(snowflake, rest, type_, value) == ([[expected]], 0)


@pytest.mark.parametrize("type_, value", REFUSED, ids=[f"{type_} {value}" for type_, value in REFUSED])
def test_refused_values(snowflake, rest, type_, value):
    assert load_one(snowflake, rest, type_, value) == ([], 1)


# Authentication


def test_only_the_user_s_key_opens(snowflake):
    from support.snowflake_standin.certificates import KeyPair

    other = KeyPair(snowflake.directory, "other")
    ours, account, user = snowflake.key_pair, snowflake.account, snowflake.user
    for jwt in (
        make_jwt(other, account, user),
        make_jwt(ours, account, user, signed_by=other),
        make_jwt(ours, account, "somebody"),
        make_jwt(ours, account, user, issued=int(time.time()) - 4000),
        make_jwt(ours, account, user, lifetime=7200),
        "no.jwt.atall",
    ):
        client = Rest(snowflake, jwt=jwt)
        assert client.log_in().status == 401
        assert client.sql("SELECT 1").status == 401
        client.close()


def test_a_revoked_token_is_refused(snowflake, rest, table):
    begin(rest, table)
    snowflake.revoke_tokens()
    assert rest.open(table, "c").status == 401
    assert rest.log_in().status == 200
    assert rest.open(table, "c").status == 200


# Faults


def test_no_answer(snowflake, rest, table):
    token = begin(rest, table)
    for does, landed in (("lose_request", []), ("lose_answer", [1])):
        snowflake.faults.add("append", does, match=f"/{table}-")
        with pytest.raises((OSError, http.client.HTTPException)):
            rest.append(table, "c", token, rows(1), "1")
        wait_until(snowflake.idle, "committed")
        assert ids(snowflake, table) == landed


def test_documented_errors(snowflake, rest, table):
    from support.snowflake_standin.faults import ERRORS

    for code, status in ERRORS.items():
        snowflake.faults.add("append", "error", code=code)
        answer = rest.append(table, "c", "", rows(1), "1")
        assert (answer.status, answer.code) == (status, code)


def test_a_channel_that_must_be_reopened(snowflake, rest, table):
    token = begin(rest, table, "must reopen".replace(" ", "_"))
    snowflake.hold_commits()
    assert rest.append(table, "must_reopen", token, rows(1), "1").status == 200
    snowflake.invalidate(matching="must_reopen")
    answer = rest.append(table, "must_reopen", token, rows(1), "1")
    assert (answer.status, answer.code) == (400, "ERR_CHANNEL_MUST_BE_REOPENED")
    assert rest.status(table, "must_reopen")["channel_status_code"] == "ERR_CHANNEL_MUST_BE_REOPENED"
    begin(rest, table, "must_reopen", fail_on_uncommitted_rows=True)
    snowflake.hold_commits(False)
    assert rest.status(table, "must_reopen")["channel_status_code"] == "SUCCESS"
    assert ids(snowflake, table) == []


def test_a_restart_loses_what_was_not_committed(snowflake, rest, table):
    token = begin(rest, table)
    token = rest.append(table, "c", token, rows(2), "2").json["next_continuation_token"]
    wait_until(snowflake.idle, "committed")
    snowflake.hold_commits()
    token = rest.append(table, "c", token, rows(2, 3), "4").json["next_continuation_token"]
    snowflake.restart()
    rest.close()
    assert rest.open(table, "c").status == 401
    rest.log_in()
    answer = rest.append(table, "c", token, rows(1, 5), "5")
    assert answer.code == "ERR_CHANNEL_MUST_BE_REOPENED"
    opened = rest.open(table, "c", fail_on_uncommitted_rows=True)
    assert opened.json["channel_status"]["last_committed_offset_token"] == "2"
    assert ids(snowflake, table) == [1, 2]


def test_a_request_that_is_too_large(snowflake, rest, table):
    token = begin(rest, table)
    noise = b"".join(hashlib.sha256(str(n).encode()).hexdigest().encode() for n in range(140_000))
    assert rest.append(table, "c", token, b'{"ID": 1, "NOTE": "' + noise + b'"}\n', "1").status == 413


# SQL


def test_a_statement_that_takes_long(snowflake, rest):
    answer = rest.sql("SELECT 1 AS A", query="?async=true")
    assert answer.status in (200, 202)
    path = f"/api/v2/statements/{answer.json['statementHandle']}"
    wait_until(lambda: rest.request("GET", path).status == 200, "the result")
    assert rest.request("GET", path).json["data"] == [["1"]]


def test_a_request_id_that_comes_again_runs_nothing(snowflake, rest, table):
    query = f"?requestId=00000000-0000-0000-0000-{next(numbers):012}&retry=true"
    for _ in range(2):
        assert rest.sql(f"INSERT INTO {table} (ID) VALUES (1)", query).json["stats"]["numRowsInserted"] == 1
    assert ids(snowflake, table) == [1]


def test_errors_of_statements(rest, table):
    answer = rest.sql("SELECT * FROM NOWHERE")
    assert (answer.status, answer.code, answer.json["sqlState"]) == (422, "002003", "42S02")
    assert rest.sql("SELEC 1").status == 422
    assert rest.sql(f'SELECT "id" FROM {table}').code == "000904"
    assert rest.sql("SELECT 1; SELECT 2").code == "000008"


def test_a_transaction_sees_what_landed_meanwhile(snowflake, rest, table):
    """READ COMMITTED: a DELETE without a bound takes rows along that the INSERT before it did not see."""
    other = f"{table}_OTHER"
    snowflake.sql(f"CREATE TABLE {other} (ID NUMBER)")
    snowflake.hold_commits()
    token = begin(rest, table)
    assert rest.append(table, "c", token, rows(1), "1").status == 200
    statements = f"BEGIN; INSERT INTO {other} SELECT ID FROM {table}; DELETE FROM {table}; COMMIT"
    run = snowflake.engine._one

    def commit_before_the_delete(text, session):
        if text.startswith("DELETE"):
            snowflake.hold_commits(False)
        return run(text, session)

    snowflake.engine._one = commit_before_the_delete
    try:
        answer = rest.sql(statements, parameters={"MULTI_STATEMENT_COUNT": "4"})
    finally:
        snowflake.engine._one = run
    assert answer.status == 200 and len(answer.json["statementHandles"]) == 4, answer
    assert ids(snowflake, other) == [] and ids(snowflake, table) == []


def test_a_rollback_keeps_what_landed_meanwhile(snowflake, rest, table):
    snowflake.lag_commits(0)
    token = begin(rest, table)
    snowflake.hold_commits()
    assert rest.append(table, "c", token, rows(1), "1").status == 200
    snowflake.faults.commits_held = False  # without waking the committer: the transaction below lets the rows land
    rest.sql(f"BEGIN; INSERT INTO {table} (ID) VALUES (9); SELECT 1; ROLLBACK", parameters={"MULTI_STATEMENT_COUNT": "0"})
    wait_until(snowflake.idle, "committed")
    assert ids(snowflake, table) == [1]


def test_a_merge_with_two_rows_for_one_is_refused(snowflake, rest, table):
    snowflake.sql(f"INSERT INTO {table} (ID) VALUES (1)")
    merge = (f"MERGE INTO {table} t USING (SELECT 1 AS ID, '{{}}' AS NOTE UNION ALL SELECT 1, 'b') s ON t.ID = s.ID"
             " WHEN MATCHED THEN UPDATE SET NOTE = s.NOTE")
    assert rest.sql(merge).code == "100090"


def test_primary_keys_are_not_enforced(snowflake):
    snowflake.sql("CREATE OR REPLACE TABLE K (ID NUMBER PRIMARY KEY)")
    snowflake.sql("INSERT INTO K VALUES (1), (1)")
    assert ids(snowflake, "K") == [1, 1]
    assert rest_columns(snowflake, "K") == [["ID", "NUMBER", "NO"]]


def rest_columns(snowflake, table):
    return snowflake.sql("SELECT COLUMN_NAME, DATA_TYPE, IS_NULLABLE FROM INFORMATION_SCHEMA.COLUMNS"
                         f" WHERE TABLE_NAME = '{table}' ORDER BY ORDINAL_POSITION")


def test_columns_may_widen_and_nothing_else(snowflake, rest):
    snowflake.sql("CREATE OR REPLACE TABLE W (N NUMBER(5,2), S VARCHAR(5))")
    for change, expected in (("N SET DATA TYPE NUMBER(10,2)", 200), ("S SET DATA TYPE VARCHAR", 200),
                             ("N SET DATA TYPE NUMBER(10,3)", 422), ("N SET DATA TYPE NUMBER(4,2)", 422),
                             ("S SET DATA TYPE NUMBER", 422)):
        assert rest.sql(f"ALTER TABLE W ALTER COLUMN {change}").status == expected, change


def test_a_stream_is_consumed_and_a_task_runs(snowflake, rest, table):
    snowflake.sql(f"CREATE STREAM S_{table} ON TABLE {table} APPEND_ONLY = TRUE; CREATE TABLE C_{table} (ID NUMBER)")
    snowflake.sql(f"CREATE TASK X_{table} WAREHOUSE = W SCHEDULE = '1 minute' WHEN SYSTEM$STREAM_HAS_DATA('S_{table}')"
                  f" AS INSERT INTO C_{table} SELECT ID FROM S_{table}")
    token = begin(rest, table)
    rest.append(table, "c", token, rows(2), "2")
    wait_until(snowflake.idle, "committed")
    assert snowflake.run_tasks() == 0  # still suspended
    snowflake.sql(f"ALTER TASK X_{table} RESUME")
    assert snowflake.run_tasks() == 1
    assert snowflake.run_tasks() == 0  # nothing new
    assert ids(snowflake, f"C_{table}") == [1, 2]
    snowflake.sql(f"ALTER TASK X_{table} SUSPEND")


def test_a_transaction_reads_a_stream_as_it_was_and_consumes_that(snowflake, rest, table):
    snowflake.sql(f"CREATE STREAM S_{table} ON TABLE {table}; CREATE TABLE A_{table} (ID NUMBER); CREATE TABLE B_{table} (ID NUMBER)")
    snowflake.lag_commits(0)
    token = begin(rest, table)
    token = rest.append(table, "c", token, rows(1), "1").json["next_continuation_token"]
    wait_until(snowflake.idle, "committed")
    snowflake.hold_commits()
    rest.append(table, "c", token, rows(1, 2), "2")
    snowflake.faults.commits_held = False  # without waking the committer: the transaction below lets the row land
    insert = f"INSERT INTO {{}}_{table} SELECT ID FROM S_{table}"
    snowflake.sql(f"BEGIN TRANSACTION; {insert.format('A')}; {insert.format('B')}; COMMIT")
    wait_until(snowflake.idle, "committed")
    assert ids(snowflake, f"A_{table}") == ids(snowflake, f"B_{table}")
    snowflake.sql(f"{insert.format('A')}; {insert.format('B')}")
    assert ids(snowflake, f"A_{table}") == [1, 2]
