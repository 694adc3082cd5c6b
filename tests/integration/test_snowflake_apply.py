"""The statements that make a target table of a landing table, executed by the stand-in: random histories of a table, cut
anywhere, always end in the state that the source has."""

import json
import os
import random
import subprocess
from pathlib import Path

import pytest
from support.snowflake_standin import Standin

BUILD = Path(os.environ.get("ETL_BUILD", "build"))
PRINTER = BUILD / "tests/unit/destination_snowflake/print_snowflake_sql"
COLUMNS = "id:23,part:25,n:23,note:25,Doc 100%:3802,raw:17,price:1700"
TOAST = [3, 4, 5, 6]  # may be left out of an update
LANDING, TARGET = '"ANALYTICS"."ETL_SCHEMA"."shop__t"', '"ANALYTICS"."PUBLIC"."t"'
UPTO, TRUNCATED = "F" * 32, "E" * 32


@pytest.fixture(scope="module")
def snowflake():
    with Standin(seed=1) as standin:
        yield standin


def statements(mode, columns=COLUMNS, keys=2):
    printed = subprocess.run([PRINTER, mode, columns, str(keys)], check=True, capture_output=True, text=True).stdout
    return json.loads(printed)


class Landing:
    """Lands rows as the pipeline would, and applies them as src/destination/snowflake/applier does."""

    def __init__(self, snowflake, mode, columns=COLUMNS, keys=2):
        self.snowflake = snowflake
        self.sql = statements(mode, columns, keys)
        self.names = [column.split(":")[0] for column in columns.split(",")]
        self.keys = keys
        for kind in ("TABLE", "VIEW"):
            snowflake.sql(f"DROP {kind} IF EXISTS {TARGET}") if self._is(kind) else None
        snowflake.sql(f"DROP TABLE IF EXISTS {LANDING}")
        snowflake.sql(self.sql["schema"])
        snowflake.sql(self.sql["landing"])
        self.number = 0
        self.waiting = []

    def _is(self, kind):
        found = self.snowflake.sql("SELECT TABLE_TYPE FROM ANALYTICS.INFORMATION_SCHEMA.TABLES WHERE TABLE_NAME = 't'"
                                   " AND TABLE_SCHEMA = 'PUBLIC'")
        return bool(found) and (found[0][0] == "VIEW") == (kind == "VIEW")

    def row(self, operation, values=None, unchanged=(), old_key=None):
        """The row's position."""
        self.number += 2
        position = f"{self.number // 10:016X}{self.number % 10:016X}"
        line = {"_etl_position": position, "_etl_operation": operation, "_etl_commit_time": None}
        if old_key is not None:
            line["_etl_old_key"] = dict(zip(self.names, old_key))
        for index, value in enumerate(values or ()):
            if index not in unchanged:
                line[self.names[index]] = value
        if unchanged:
            line["_etl_unchanged"] = "," + "".join(self.names[index].replace("%", "%25") + "," for index in unchanged)
        self.waiting.append(json.dumps(line))
        return position

    def land(self):
        if self.waiting:
            rejected, message = self.snowflake.engine.load(
                ("ANALYTICS", "ETL_SCHEMA", "shop__t"), "\n".join(self.waiting).encode() + b"\n")
            assert not rejected, message
        self.waiting = []

    def survey(self, upto):
        return self.snowflake.sql(self.sql["survey"].replace(UPTO, upto))[0]

    def apply(self, upto):
        for _ in range(1000):
            count, truncated, partial, rekeys = self.survey(upto)
            if count == "0":
                return
            until = upto
            variant = bool(truncated) + 2 * (partial != "0") + 4 * (rekeys != "0")
            if rekeys != "0":
                obstacle = self.sql["obstacle"][str(variant)].replace(UPTO, upto)
                obstacle = obstacle.replace(TRUNCATED, truncated or "")
                found = self.snowflake.sql(obstacle)[0][0]
                if found:
                    until = f"{int(found, 16) - 1:032X}"
                    count, truncated, partial, rekeys = self.survey(until)
                    variant = bool(truncated) + 2 * (partial != "0") + 4 * (rekeys != "0")
            apply = self.sql["apply"][str(variant)].replace(UPTO, until).replace(TRUNCATED, truncated or "")
            self.snowflake.sql(apply)
            if truncated:  # the same statement of a process that was killed meanwhile may come late
                self.snowflake.sql(apply)
        pytest.fail("there is no end to it")

    def target(self):
        listed = ", ".join(f'"{name}"' for name in self.names)
        found = self.snowflake.sql(f"SELECT {listed} FROM {TARGET}")
        return sorted([tuple(row) for row in found], key=str)


class History:
    """A source table of (id, part) → the other values, changed at random, and what the stream says of it."""

    def __init__(self, landing, seed, rekeys=True, truncates=True):
        self.random = random.Random(seed)
        self.landing = landing
        self.rows = {}
        self.rekeys, self.truncates = rekeys, truncates

    def values(self):
        draw = self.random
        return [
            draw.choice([None, draw.randrange(100)]), draw.choice([None, "", "it's \\ \"x\"", f"note {draw.random()}"]),
            draw.choice([None, {"a": draw.randrange(9)}]), draw.choice([None, "", "00ff", f"{draw.randrange(256):02x}"]),
            draw.choice([None, "1.50", "12345678901234567890.123456789012345678901234567890", "NaN"]),
        ]

    def key(self):
        return self.random.randrange(6), self.random.choice(["a", "b\"'"])

    def step(self):
        kind = self.random.random()
        key = self.key()
        if kind < 0.02 and self.truncates:
            self.rows.clear()
            return self.landing.row("truncate")
        if key not in self.rows:
            self.rows[key] = self.values()
            return self.landing.row(self.random.choice(["insert", "copy"]), [*key, *self.rows[key]])
        if kind < 0.2:
            del self.rows[key]
            return self.landing.row("remove", key)
        old, new = self.rows[key], self.values()
        unchanged = [index for index in TOAST if self.random.random() < 0.5]
        for index in unchanged:
            new[index - 2] = old[index - 2]
        to = self.key()
        if kind < 0.5 and self.rekeys and unchanged and to not in self.rows:
            del self.rows[key]
            self.rows[to] = new
            return self.landing.row("rekey", [*to, *new], unchanged, key)
        self.rows[key] = new
        return self.landing.row("update", [*key, *new], unchanged)

    def state(self):
        def text(index, value):
            if value is None:
                return None
            if index == 2:
                return json.dumps(value, separators=(", ", ": "))
            return value.upper() if index == 3 else str(value)

        rows = [(str(key[0]), key[1], *[text(i, value) for i, value in enumerate(row)]) for key, row in self.rows.items()]
        return sorted(rows, key=str)


@pytest.mark.parametrize("seed", range(12))
def test_merge_follows_the_source(snowflake, seed):
    landing = Landing(snowflake, "merge")
    snowflake.sql(landing.sql["target"])
    history = History(landing, seed, rekeys=seed % 3 != 0, truncates=seed % 2 == 0)
    draw = random.Random(seed)
    for _ in range(25):
        upto = None
        for _ in range(draw.choice([1, 3, 20])):
            upto = history.step()
        expected = history.state()
        if draw.random() < 0.5:  # rows behind the position have landed as well
            landing.land()
            held_rows = dict(history.rows)
            ahead = History(landing, draw.random(), history.rekeys, history.truncates)
            ahead.rows = {key: list(values) for key, values in held_rows.items()}
            for _ in range(5):
                ahead.step()
            history.rows = ahead.rows
        landing.land()
        landing.apply(upto)
        assert landing.target() == expected
        assert landing.survey(upto)[0] == "0", "what was applied is trimmed"


def test_a_transaction_that_fails_changes_nothing(snowflake):
    landing = Landing(snowflake, "merge")
    snowflake.sql(landing.sql["target"])
    upto = landing.row("insert", [1, "a", 1, "x", None, None, None])
    landing.land()
    broken = landing.sql["apply"]["0"].replace(UPTO, upto).replace("COMMIT;", "SELECT * FROM NO_SUCH_TABLE; COMMIT;")
    with pytest.raises(Exception, match="NO_SUCH_TABLE"):
        snowflake.sql(broken)
    assert landing.target() == []
    assert landing.survey(upto)[0] == "1"
    landing.apply(upto)
    assert len(landing.target()) == 1


def test_an_update_of_a_row_that_is_not_there_waits_for_the_copy(snowflake):
    landing = Landing(snowflake, "merge")
    snowflake.sql(landing.sql["target"])
    upto = landing.row("update", [1, "a", 5, None, None, None, None], unchanged=[3])
    landing.land()
    landing.apply(upto)
    assert landing.target() == []
    upto = landing.row("copy", [1, "a", 5, "whole", None, None, None])
    landing.land()
    landing.apply(upto)
    assert landing.target() == [("1", "a", "5", "whole", None, None, None)]


def test_rows_without_a_key(snowflake):
    landing = Landing(snowflake, "merge", "n:23,note:25", 0)
    snowflake.sql(landing.sql["target"])
    landing.row("copy", [1, "gone"])
    landing.row("truncate")
    landing.row("insert", [1, "x"])
    upto = landing.row("insert", [1, "x"])
    landing.waiting.append(landing.waiting[-1])  # landed twice, by a channel of another name
    landing.land()
    landing.apply(upto)
    assert landing.target() == [("1", "x"), ("1", "x")]
    landing.apply(upto)
    assert landing.target() == [("1", "x"), ("1", "x")]


@pytest.mark.parametrize("seed", range(6))
def test_view_is_the_current_state(snowflake, seed):
    landing = Landing(snowflake, "view")
    snowflake.sql(landing.sql["view"])
    history = History(landing, seed, rekeys=False)
    for _ in range(15):
        for _ in range(7):
            history.step()
        landing.land()
        assert landing.target() == history.state()


@pytest.mark.parametrize("seed", range(6))
def test_task_follows_the_source_and_trims(snowflake, seed):
    landing = Landing(snowflake, "task")
    snowflake.sql(landing.sql["target"])
    for statement in landing.sql["task"]:
        snowflake.sql(statement)
    history = History(landing, seed, rekeys=False)
    for _ in range(15):
        for _ in range(9):
            history.step()
        landing.land()
        assert snowflake.run_tasks() == 1
        assert landing.target() == history.state()
        assert snowflake.sql(f"SELECT COUNT(*) FROM {LANDING}") == [["0"]]
