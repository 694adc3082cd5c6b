"""Snowflake's SQL, parsed, into DuckDB's: names resolved and quoted, types as column_types holds them."""

from sqlglot import exp
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

from .catalog import SqlError, missing, quoted
from .column_types import Type

# Functions that sqlglot hands through; as macros in DuckDB.
MACROS = {
    "TO_TIMESTAMP_TZ(x)": "CAST(x AS TIMESTAMPTZ)",
    "TO_TIMESTAMP_NTZ(x)": "CAST(x AS TIMESTAMP)",
    "TO_TIMESTAMP_LTZ(x)": "CAST(x AS TIMESTAMPTZ)",
    "TO_VARIANT(x)": "to_json(x)",
    "TRY_PARSE_JSON(x)": "TRY_CAST(x AS JSON)",
    "CURRENT_ACCOUNT()": "'STANDIN'",
    "CURRENT_VERSION()": "'9.0.0'",
    "TO_GEOGRAPHY(x)": "CAST(x AS VARCHAR)",
    "TRY_TO_GEOGRAPHY(x)": "CAST(x AS VARCHAR)",
}


def full_name(table, database, schema):
    """(database, schema, name) of a table node whose identifiers are folded already."""
    if not (table.db or schema) or not (table.catalog or database):
        raise missing("Object", table.name)
    return table.catalog or database, table.db or schema, table.name


class Translator:
    """One statement's. `database` and `schema`: what unqualified names are in."""

    def __init__(self, catalog, database, schema):
        self.catalog = catalog
        self.database, self.schema = database, schema
        self.information = {}  # temporary table → (view, database)
        self.streams = []  # streams that the statement reads

    def name(self, table):
        return full_name(table, self.database, self.schema)

    @staticmethod
    def fold(statement):
        return normalize_identifiers(statement, dialect="snowflake")

    def resolve(self, statement, skip=()):
        """Gives every table its full name and checks that table and columns exist under exactly these names. `skip`:
        table nodes that need not exist."""
        defined = {cte.alias for cte in statement.find_all(exp.CTE)}
        known = set()
        for table in list(statement.find_all(exp.Table)):
            if not isinstance(table.this, exp.Identifier) or (table.name in defined and not table.db):
                continue
            if table.db == "INFORMATION_SCHEMA" or (not table.db and self.schema == "INFORMATION_SCHEMA"):
                known.update(self._information(table))
                continue
            name = self.name(table)
            if not any(table is other for other in skip):
                known.update(self.catalog.find(name).columns)
                if name in self.catalog.streams:
                    self.streams.append(name)
            for part, text in zip(("catalog", "db", "this"), name):
                table.set(part, exp.to_identifier(text, quoted=True))
        self._check_columns(statement, known)
        for identifier in statement.find_all(exp.Identifier):
            identifier.set("quoted", True)
        self._types(statement)
        return statement

    def _information(self, table):
        name = f"information {table.name} {table.catalog or self.database}"
        self.information[name] = (table.name, table.catalog or self.database)
        columns, _ = self.catalog.view(*self.information[name])
        if not table.alias:
            table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name, quoted=True)))
        table.set("catalog", exp.to_identifier("temp", quoted=True))
        table.set("db", exp.to_identifier("main", quoted=True))
        table.set("this", exp.to_identifier(name, quoted=True))
        return columns

    @staticmethod
    def _check_columns(statement, known):
        """DuckDB finds "id" when asked for ID; Snowflake does not."""
        known = known | {alias.alias for alias in statement.find_all(exp.Alias)}
        for alias in statement.find_all(exp.TableAlias):
            known.add(alias.name)
            known.update(column.name for column in alias.columns)
        folded = {name.upper() for name in known}
        for column in statement.find_all(exp.Column):
            name = column.name
            if name not in known and name.upper() in folded:
                raise SqlError("000904", "42000", f"SQL compilation error:\ninvalid identifier '{name}'")

    @staticmethod
    def _types(statement):
        for data_type in list(statement.find_all(exp.DataType)):
            try:
                held = Type.of(data_type).held_as()
            except ValueError:
                continue  # nested in a type of sqlglot's own making
            data_type.replace(exp.DataType.build(held, dialect="duckdb"))

    def sql(self, statement):
        return statement.sql(dialect="duckdb")

    def fill_information(self, connection):
        """Makes the tables that stand for INFORMATION_SCHEMA views of this statement."""
        for name, view in self.information.items():
            columns, rows = self.catalog.view(*view)
            kinds = {"ORDINAL_POSITION", "CHARACTER_MAXIMUM_LENGTH", "NUMERIC_PRECISION", "NUMERIC_SCALE", "DATETIME_PRECISION"}
            listed = ", ".join(f"{quoted(column)} {'BIGINT' if column in kinds else 'VARCHAR'}" for column in columns)
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(name)} ({listed})")
            if rows:
                connection.executemany(f"INSERT INTO {quoted(name)} VALUES ({', '.join('?' * len(columns))})", rows)
