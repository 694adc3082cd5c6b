"""The module behind the DuckDB destination by itself: batches made by hand, compared with a dict."""

import random
import sys
from pathlib import Path

import duckdb
import pytest

SOURCES = Path(__file__).resolve().parents[2] / "src"
sys.path += [str(SOURCES / "python"), str(SOURCES / "destination" / "duckdb")]

import duckdb_destination  # noqa: E402
import etl_stream  # noqa: E402

TABLE = {
    "oid": 5, "schema": "public", "name": "t", "key": ["id"],
    "columns": [{"name": "id", "arrow": "int32", "attnum": 1}, {"name": "n", "arrow": "int32", "attnum": 2},
                {"name": "body", "arrow": "large_string", "attnum": 3}],
}


class Batch:
    """Rows (operation, position, old key, unchanged, id, n, body) as an Arrow stream that can be read again and again."""

    def __init__(self, rows, copied=False, copying=False):
        self.copied, self.copying = copied, copying
        self.only_new = all(row[0] in ("insert", "copy") for row in rows)
        self.connection = duckdb.connect()
        self.connection.execute("CREATE TABLE b (o VARCHAR, p VARCHAR, t TIMESTAMPTZ, k STRUCT(id INTEGER), u VARCHAR[], "
                                "id INTEGER, n INTEGER, body VARCHAR)")
        self.connection.executemany("INSERT INTO b VALUES (?, ?, NULL, ?, ?, ?, ?, ?)", rows)

    def __arrow_c_stream__(self, requested_schema=None):
        return self.connection.table("b").__arrow_c_stream__(requested_schema)


def position(number):
    return f"{number:032X}"


@pytest.fixture
def database(tmp_path):
    opened = []

    def make(mode="current", pipeline="p", **options):
        opened.append(duckdb_destination.open({
            "path": str(tmp_path / "file.duckdb"), "pipeline": pipeline, "mode": mode,
            "operation_column": "_etl_operation", "position_column": "_etl_position",
            "commit_time_column": "_etl_commit_time", **options}))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def rows(database):
    return sorted(database.connection.execute("SELECT id, n, body FROM public.t").fetchall())


def changes(draw, state, number):
    """One change that fits `state`, which it also changes; None when what was drawn does not fit."""
    key, other, n = draw.randrange(20), draw.randrange(20), draw.randrange(1000)
    body = None if n % 5 == 0 else f"body {n}"
    kind = draw.choice(("insert", "update", "remove", "partial", "rekey"))
    if (kind == "insert") == (key in state) or (kind == "rekey" and other in state):
        return None
    if kind in ("insert", "update"):
        state[key] = (n, body)
        return (kind, position(number), None, None, key, n, body)
    before = state.pop(key)
    if kind == "remove":
        return (kind, position(number), None, None, key, None, None)
    if kind == "partial":
        state[key] = (n, before[1])
        return ("update", position(number), None, ["body"], key, n, None)
    state[other] = (n, before[1])
    return (kind, position(number), {"id": key}, ["body"], other, n, None)


def test_the_last_change_of_each_key_counts(database):
    draw, state, number = random.Random(4711), {}, 0
    there = database()
    there.recover()
    assert there.ensure_table(TABLE) == {"created": True, "has_rows": False, "stale": False}
    for _ in range(80):
        batch = []
        for _ in range(draw.choice((1, 3, 40))):
            number += 2
            if change := changes(draw, state, number):
                batch.append(change)
        if batch:
            there.write(TABLE, Batch(batch))
            there.end_batch(batch[-1][1], [], True)
        if draw.random() < 0.3:
            there.durable()
        assert rows(there) == sorted((key, *values) for key, values in state.items())


def test_copied_rows_replace_what_is_there_and_may_come_twice(database):
    there = database()
    there.recover()
    there.ensure_table(TABLE)
    there.write(TABLE, Batch([("insert", position(2), None, None, 1, 1, "old")]))
    there.write(TABLE, Batch([("copy", position(4), None, None, 1, 2, "new"), ("copy", position(5), None, None, 1, 2, "new"),
                              ("copy", position(6), None, None, 2, 3, None)], copied=True))
    assert rows(there) == [(1, 2, "new"), (2, 3, None)]


def test_values_that_were_not_sent_for_a_row_that_is_not_there_yet(database):
    there = database()
    there.recover()
    there.ensure_table(TABLE)
    there.write(TABLE, Batch([("update", position(2), None, ["body"], 1, 1, None),
                              ("rekey", position(4), {"id": 2}, ["body"], 3, 1, None)], copying=True))
    assert rows(there) == []


def test_rows_position_and_documents_are_one_transaction(database):
    there = database()
    there.recover()
    there.ensure_table(TABLE)
    there.write(TABLE, Batch([("insert", position(2), None, None, 1, 1, "a")]))
    there.end_batch(position(2), [("copy", "half"), ("other", "x")], True)
    assert there.durable() == position(2)
    there.write(TABLE, Batch([("insert", position(4), None, None, 2, 1, "b")]))
    there.end_batch(position(4), [("copy", "all"), ("other", "")], False)
    assert there.durable() == position(2)  # inside a transaction of the source
    there.close()

    again = database()
    assert again.recover() == (position(2), {"copy": "half", "other": "x"})
    assert again.ensure_table(TABLE) == {"created": False, "has_rows": True, "stale": False}
    assert rows(again) == [(1, 1, "a")]
    again.write(TABLE, Batch([("insert", position(4), None, None, 2, 1, "b")]))
    again.end_batch(position(4), [("copy", "all"), ("other", "")], True)
    assert again.durable() == position(4)
    again.close()
    assert database().recover() == (position(4), {"copy": "all"})


@pytest.mark.parametrize("change, reason", [
    ({"columns": [{"name": "id", "arrow": "int32", "attnum": 1}, {"name": "ID", "arrow": "int32", "attnum": 2}]},
     "differs by case"),
    ({"columns": [], "key": []}, "no columns"),
    ({"oid": 6, "name": "T"}, "would be written into the table of"),
])
def test_what_duckdb_cannot_hold_is_refused(database, change, reason):
    there = database()
    there.recover()
    there.ensure_table(TABLE)
    with pytest.raises(etl_stream.DataError, match=reason):
        there.ensure_table({**TABLE, **change})


def changed(**types):
    numbers = {"id": 1, "n": 2, "body": 3}
    return {**TABLE, "columns": [{"name": name, "arrow": kind, "attnum": numbers[name]} for name, kind in types.items()]}


def test_columns_change_their_types_and_come_back(database):
    there = database()
    there.recover()
    there.ensure_table(TABLE)
    there.write(TABLE, Batch([("insert", position(2), None, None, 1, 7, "8"), ("insert", position(4), None, None, 2, 9, "x")]))
    wide = changed(id="int64", n="double", body="large_string")
    assert not there.ensure_table(wide)["stale"]
    assert rows(there) == [(1, 7.0, "8"), (2, 9.0, "x")]
    narrow = changed(id="int64", n="double", body="int32")
    with pytest.raises(etl_stream.DataError, match='"body" of "public"."t" is VARCHAR and should be INTEGER'):
        there.ensure_table(narrow)
    assert there.ensure_table({**narrow, "copied_again": True})["stale"]  # "x" is no number: the copy brings what it is now
    assert rows(there) == [(1, 7.0, None), (2, 9.0, None)]
    there.ensure_table(changed(id="int64", body="int32"))
    again = changed(id="int64", body="int32", n="double")
    again["columns"][2]["attnum"] = 4
    assert there.ensure_table(again)["stale"]  # another column of a name that has values from before


def test_a_table_is_renamed_and_its_name_taken(database):
    there = database()
    there.recover()
    there.ensure_table(TABLE)
    there.write(TABLE, Batch([("insert", position(2), None, None, 1, 1, "a")]))
    with pytest.raises(etl_stream.DataError, match="holds the rows of another table"):
        there.ensure_table({**TABLE, "oid": 6})
    there.ensure_table({**TABLE, "schema": "other"})
    assert there.ensure_table({**TABLE, "oid": 6})["created"]
    assert there.connection.execute("SELECT id FROM other.t").fetchall() == [(1,)]
    there.connection.execute("CREATE TABLE public.theirs (id int)")
    with pytest.raises(etl_stream.DataError, match="there is a table of that name"):
        there.ensure_table({**TABLE, "oid": 6, "name": "theirs"})
    assert there.ensure_table({**TABLE, "oid": 7, "replaces": True, "key": []})["created"]
    assert rows(there) == []


def test_a_table_without_a_key_takes_inserts_alone(database):
    there = database()
    there.recover()
    table = {**TABLE, "key": []}
    there.ensure_table(table)
    there.write(table, Batch([("insert", position(2), None, None, 1, 1, "a")] * 2))
    assert rows(there) == [(1, 1, "a")] * 2
    with pytest.raises(etl_stream.DataError, match="without a key"):
        there.write(table, Batch([("remove", position(4), None, None, 1, 1, "a")]))


@pytest.mark.parametrize("content, reason", [(b"not a database" * 1000, "cannot be read by DuckDB"), (None, "missing a directory")])
def test_a_file_that_cannot_be_opened(database, tmp_path, content, reason):
    path = tmp_path / "other" / "file.duckdb"
    if content:
        path.parent.mkdir()
        path.write_bytes(content)
    with pytest.raises(etl_stream.ConfigError, match=reason):
        database(path=str(path)).recover()


def test_a_damaged_file(database, tmp_path):
    path = tmp_path / "damaged.duckdb"
    duckdb.connect(str(path)).close()
    content = bytearray(path.read_bytes())
    content[12:20] = (10**6).to_bytes(8, "little")  # the version of the format, under a checksum
    path.write_bytes(content)
    with pytest.raises(etl_stream.ConfigError, match="cannot be read by DuckDB"):
        database(path=str(path)).recover()


def test_a_refused_row_says_what_refused_it_and_no_value(database):
    there = database()
    there.recover()
    there.ensure_table(TABLE)
    there.durable()
    there.connection.execute("CREATE UNIQUE INDEX theirs ON public.t (body)")
    with pytest.raises(etl_stream.DataError, match="ConstraintException") as refused:
        there.write(TABLE, Batch([("insert", position(2), None, None, n, 1, "secret") for n in (1, 2)]))
    assert "secret" not in str(refused.value) + refused.value.hint
