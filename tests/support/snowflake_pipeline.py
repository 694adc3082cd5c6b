"""Pipelines into the stand-in for Snowflake, and what arrived there."""

import os
from pathlib import Path

from support import files
from support.etl import Pipeline, column_list, rows_of, subtract

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".cache" / "venv"


class SnowflakePipeline(Pipeline):
    """`transport`: "sdk" or "rest". The target tables are in the schema PUBLIC."""

    def __init__(self, directory, from_, snowflake, transport, name="p", /, **sections):
        super().__init__(directory, from_, Path(directory), name)
        self.snowflake = snowflake
        self.sections["destination"] = {
            "type": "snowflake", "account": snowflake.account, "user": snowflake.user, "endpoint": snowflake.url,
            "ca_file": str(snowflake.ca_file), "private_key": {"file": str(snowflake.key_pair.private)},
            "database": snowflake.database, "warehouse": "ETL_WH", "transport": transport, "apply_every": "1s",
        }
        if snowflake.key_pair.passphrase is not None:
            self.sections["destination"]["passphrase"] = {"env": "ETL_TEST_PASSPHRASE"}
            os.environ["ETL_TEST_PASSPHRASE"] = snowflake.key_pair.passphrase
        self.sections["batch"] = {"max_fill": "100ms"}
        self.sections["python"] = {"venv": str(VENV)}
        self.configure(**sections)

    def source_rows(self, table):
        return files.comparable(rows_of(self.cluster, self.database, table), self.cluster, self.database, table)

    def differences(self, table):
        ours, theirs = self.source_rows(table), self.destination_rows(table)
        if ours == theirs:
            return []
        if theirs is None:
            return [f"{table}: not there"]
        missing, extra = subtract(ours, theirs), subtract(theirs, ours)
        return [f"{table}: missing {row}" for row in missing] + [f"{table}: too many {row}" for row in extra]

    def destination_rows(self, table):
        """The target's rows in PostgreSQL's spelling; None when there is no such table."""
        held = self.snowflake.raw(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name ="
            f" '{self.snowflake.database}' AND schema_name = 'PUBLIC' AND table_name = '{table}'"
        )
        types = dict(held)
        wanted = [name.strip('"') for name in column_list(self.cluster, self.database, table)]
        if not set(wanted) <= set(types):
            return None
        selected = ", ".join(spelled('"' + name + '"', types[name]) for name in wanted)
        rows = self.snowflake.raw(f'SELECT {selected} FROM "{self.snowflake.database}"."PUBLIC"."{table}"')
        json_columns = [types[name] == "JSON" for name in wanted]
        spell = [tuple(files.as_text(files.parse(value), True) if is_json and value is not None else value
                       for value, is_json in zip(row, json_columns)) for row in rows]
        return sorted(spell, key=repr)


def spelled(column, kind):
    """SQL that gives a value's text as PostgreSQL's output function would."""
    if kind == "BOOLEAN":
        return f"CASE {column} WHEN true THEN 't' WHEN false THEN 'f' END"
    if kind == "BLOB":
        return f"'\\x' || lower(hex({column}))"
    return f"CAST({column} AS VARCHAR)"
