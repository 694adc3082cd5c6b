"""What a DuckDB file holds, spelled as PostgreSQL spells it. Only while no pipeline has the file open."""

import duckdb


def text_of(value):
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, list):
        return "{" + ",".join(element(item) for item in value) + "}"
    return str(value)


def element(value):
    text = text_of(value)
    if text is None:
        return "NULL"
    plain = text and text.upper() != "NULL" and not set(text) & set('{}",\\ \t\n')
    return text if plain else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def selected(name, kind):
    """An expression that leaves only types which the driver hands over without further packages."""
    column = '"' + name.replace('"', '""') + '"'
    if kind != "TIMESTAMP WITH TIME ZONE":
        return column
    instant = f"strftime({column} AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S.%f')"
    return f"rtrim(rtrim({instant}, '0'), '.') || '+00'"


def query(path, sql, *parameters):
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql, parameters).fetchall()


def rows(path, table, schema="public"):
    """All rows as sorted tuples of text; None when there is no such table."""
    columns = query(path, "SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = ? AND table_name = ? "
                          "ORDER BY column_index", schema, table)
    if not columns:
        return None
    expressions = ", ".join(selected(name, kind) for name, kind in columns)
    found = query(path, f'SELECT {expressions} FROM "{schema}"."{table}"')
    return sorted((tuple(text_of(value) for value in row) for row in found), key=repr)
