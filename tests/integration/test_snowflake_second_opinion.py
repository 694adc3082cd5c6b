"""The statements for Snowflake, executed by something that we did not write: snowduck."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from support.snowflake_standin import Standin
from support.snowflake_standin.script import block

ROOT = Path(__file__).resolve().parents[2]
PRINTER = Path(os.environ.get("ETL_BUILD", "build")) / "tests/unit/destination_snowflake/print_snowflake_sql"
PYTHON = ROOT / ".cache" / "venv-snowduck" / "bin" / "python"
COLUMNS = "id:23,n:23,note:25,doc:3802"
LANDING, TARGET = '"ANALYTICS"."ETL_SCHEMA"."shop__t"', '"ANALYTICS"."PUBLIC"."t"'

# (operation, id, n, note, doc, unchanged columns, old key), in order; their positions follow.
HISTORY = [
    ("copy", 1, 10, "one", '{"a":1}', None, None),
    ("copy", 2, 20, "two", None, None, None),
    ("insert", 3, 30, "three", None, None, None),
    ("update", 1, 11, None, None, ",note,doc,", None),
    ("update", 3, 31, "drei", None, None, None),
    ("remove", 2, None, None, None, None, None),
    ("insert", 4, 40, None, None, None, None),
    ("remove", 4, None, None, None, None, None),
    ("insert", 4, 41, "again", "[1]", None, None),
]
AFTER = [["1", "11", "one", '{"a":1}'], ["3", "31", "drei", None], ["4", "41", "again", "[1]"]]
LATER = [
    ("rekey", 9, 12, None, None, ",note,doc,", '{"id": 1}'),
    ("update", 3, 32, None, None, ",note,doc,", None),
]
AT_LAST = [["3", "32", "drei", None], ["4", "41", "again", "[1]"], ["9", "12", "one", '{"a":1}']]


def literal(value):
    return "NULL" if value is None else str(value) if isinstance(value, int) else "'" + value + "'"


def position(number):
    return f"{number:032X}"


def land(rows, first):
    for number, (operation, key, n, note, doc, unchanged, old_key) in enumerate(rows, first):
        documents = ("NULL" if text is None else f"PARSE_JSON('{text}')" for text in (old_key, doc))
        old_key, doc = documents
        yield (f'INSERT INTO {LANDING} ("_etl_position", "_etl_operation", "_etl_old_key", "_etl_unchanged", "id", "n", "note",'
               f' "doc") SELECT \'{position(number)}\', \'{operation}\', {old_key}, {literal(unchanged)}, {key}, {literal(n)},'
               f" {literal(note)}, {doc}")


SURVEY_FIELDS = ("rows", "truncated", "partial", "rekeys")
SELECT = f'SELECT "id", "n", "note", "doc" FROM {TARGET} ORDER BY "id"'


@pytest.fixture(scope="module")
def sql():
    printed = subprocess.run([PRINTER, "merge", COLUMNS, "1"], check=True, capture_output=True, text=True).stdout
    return json.loads(printed)


def script_of(sql):
    """(name, statement): what one run of the program would send, and looks at what came of it. Of the variants of the
    statements: 2 when values were left out, 6 when keys were changed as well."""
    yield from (("made", sql[name]) for name in ("schema", "landing", "target"))
    yield "landing", f"DESCRIBE TABLE {LANDING}"
    yield from (("landed", statement) for statement in land(HISTORY, 1))
    yield "survey", sql["survey"]
    yield from (("applied", statement) for statement in block(sql["apply"]["2"]))
    yield "after", SELECT
    yield from (("landed", statement) for statement in land(LATER, 100))
    yield "obstacle", sql["obstacle"]["6"]
    yield from (("applied", statement) for statement in block(sql["apply"]["6"]))
    yield "at last", SELECT
    yield "left", f"SELECT COUNT(*) FROM {LANDING}"


def on_snowduck(statements):
    runner = ROOT / "tests" / "support" / "snowduck_runner.py"
    done = subprocess.run([PYTHON, runner], input=json.dumps(statements), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def on_the_standin(statements):
    with Standin() as standin:
        return [[result.rows for result in standin.engine.run(statement, "ANALYTICS", "PUBLIC")][-1]
                if statement not in ("BEGIN TRANSACTION", "COMMIT") else [] for statement in statements]


@pytest.mark.parametrize("engine", [on_snowduck, on_the_standin])
def test_a_table_s_life(sql, engine):
    names, statements = zip(*script_of(sql))
    results = dict(zip(names, engine(list(statements))))  # of each name the last

    def texts(rows):
        return [[None if value is None else "".join(str(value).split()) for value in row] for row in rows]

    assert [row[:2] for row in texts(results["landing"])][:2] == [["_etl_position", "VARCHAR(16777216)"],
                                                                  ["_etl_operation", "VARCHAR(16777216)"]]
    assert texts(results["survey"]) == [["9", None, "1", "0"]]
    assert texts(results["after"]) == AFTER
    assert texts(results["obstacle"]) == [[None]]
    assert texts(results["at last"]) == AT_LAST
    assert texts(results["left"]) == [["0"]]
