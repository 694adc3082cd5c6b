"""Reads what the file destination wrote, the way a consumer should: through the manifest."""

import gzip
import json
import subprocess
from collections import Counter
from pathlib import Path


def manifest(path):
    """The manifest's complete lines; a line that is being appended does not count yet."""
    file = Path(path) / "manifest.ndjson"
    if not file.exists():
        return []
    complete = file.read_bytes().rpartition(b"\n")[0]
    return [json.loads(line) for line in complete.splitlines()]


def open_text(file):
    if file.suffix == ".gz":
        return gzip.decompress(file.read_bytes()).decode()
    if file.suffix == ".zst":
        return subprocess.run(["zstd", "-dcq", str(file)], check=True, stdout=subprocess.PIPE).stdout.decode()
    return file.read_text()


def parse(text):
    """JSON with numbers as they are spelled."""
    return json.loads(text, parse_int=Number, parse_float=Number)


class Number(str):
    """Tells 1 from "1"."""


def steps(path, only=None):
    """(schema, table, row) for each row version in order; row None for a TRUNCATE. `only`: of one (schema, table)."""
    for line in manifest(path):
        for step in line.get("steps", []):
            if "truncated" in step:
                for table in step["truncated"]:
                    yield table["schema"], table["table"], None
            elif only in (None, (step["schema"], step["table"])):
                text = open_text(Path(path) / step["file"])
                rows = text.split("\n")
                assert rows.pop() == "", f"{step['file']} ends in the middle of a line"
                assert len(rows) == step["rows"], f"{step['file']}: {len(rows)} rows, the manifest says {step['rows']}"
                for row in rows:
                    yield step["schema"], step["table"], parse(row)


def split_name(name):
    """A name as SQL spells it, as (schema, table)."""
    parts, quoted = [""], False
    for character in name.replace('""', "\0"):
        if character == '"':
            quoted = not quoted
        elif character == "." and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    schema, table = (["public"] + [part.replace("\0", '"') for part in parts])[-2:]
    return schema, table


def history(path, table):
    wanted = split_name(table)
    return [row for schema, name, row in steps(path, wanted) if (schema, name) == wanted and row is not None]


def row_versions(path, table):
    """How many the manifest counts; cheaper than reading them."""
    wanted = split_name(table)
    found = 0
    for line in manifest(path):
        for step in line.get("steps", []):
            if "file" in step and (step["schema"], step["table"]) == wanted:
                found += step["rows"]
    return found


def assert_each_position_once(path):
    seen = Counter((schema, table, row["_etl_position"]) for schema, table, row in steps(path) if row is not None)
    twice = [key for key, count in seen.items() if count > 1]
    assert not twice, f"{len(twice)} positions more than once, such as {twice[:3]}"


def columns_of(cluster, database, table):
    """[(name, is key, is json)] of the source's table."""
    return cluster.sql(
        database,
        "SELECT attname, attnum = ANY (coalesce(i.indkey::int2[], '{}')), atttypid::regtype::text IN ('json', 'jsonb')"
        " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " LEFT JOIN pg_index i ON i.indrelid = c.oid"
        "  AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END"
        " WHERE a.attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
        table,
    )


def canonical(value):
    """A JSON document as text that does not depend on white space."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def as_text(value, is_json):
    """A value of the file in PostgreSQL's spelling."""
    if value is None:
        return None  # also for a document that is null: in JSON the two are one
    if is_json:
        return canonical(value)
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value)


def comparable(rows, cluster, database, table):
    """The source's rows with JSON documents spelled as current_rows() spells them."""
    columns = columns_of(cluster, database, table)
    spelled = [
        tuple(as_text(parse(v), True) if json_ and v is not None else v for v, (_, _, json_) in zip(row, columns))
        for row in rows
    ]
    return sorted(spelled, key=repr)


def current_rows(path, table, cluster, database):
    """The table's state after every row version of the manifest; None when nothing is known of it. Of a table without
    a key one equal row goes for each that is removed."""
    columns = columns_of(cluster, database, table)
    key = [name for name, is_key, _ in columns if is_key]
    wanted = split_name(table)
    state, known = {}, False
    for schema, name, row in steps(path, wanted):
        if (schema, name) != wanted:
            continue
        known = True
        if row is None:
            state.clear()
            continue
        if not key:
            values = canonical([row.get(name) for name, _, _ in columns])
            rows = state.setdefault(values, [])
            if row["_etl_operation"] == "remove":
                assert rows, "a row is removed that was not there"
                rows.pop()
            else:
                assert row["_etl_operation"] in ("insert", "copy"), "a change of a table without a key"
                rows.append(row)
            continue
        identity = tuple(canonical(row.get(column)) for column in key)
        operation = row["_etl_operation"]
        if operation == "remove":
            state.pop(identity, None)
        elif "_etl_old_key" in row:
            old = tuple(canonical(row["_etl_old_key"][column]) for column in key)
            state[identity] = {**state.pop(old, {}), **row}
        else:
            state[identity] = {**state.get(identity, {}), **row} if operation == "update" else row
    if not known:
        return []
    current = state.values() if key else [row for rows in state.values() for row in rows]
    rows = [tuple(as_text(row.get(name), json_) for name, _, json_ in columns) for row in current]
    return sorted(rows, key=repr)
