"""What the account holds: databases, schemas, tables with their columns as declared, views, and the objects that only
exist by name (tasks, streams). Answers INFORMATION_SCHEMA and SHOW."""

import re
import time


class SqlError(Exception):
    """An error of the SQL API: code, SQLSTATE and message as Snowflake gives them."""

    def __init__(self, code, state, message):
        super().__init__(message)
        self.code, self.state, self.message = code, state, message


def missing(kind, name):
    return SqlError("002003", "42S02", f"SQL compilation error:\n{kind} '{name}' does not exist or not authorized.")


def exists_already(name):
    return SqlError("002002", "42710", f"SQL compilation error:\nObject '{name}' already exists.")


def invalid(message):
    return SqlError("001003", "42000", f"SQL compilation error:\n{message}")


def quoted(*names):
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


class Column:
    def __init__(self, type_, nullable=True, default=None):
        self.type, self.nullable, self.default = type_, nullable, default


class Table:
    def __init__(self, kind="BASE TABLE", columns=None, key=()):
        self.kind = kind
        self.columns = columns or {}  # name → Column
        self.key = list(key)
        self.options = {}
        self.created = time.time()


class Task:
    def __init__(self, database, schema, definition, schedule, condition):
        self.database, self.schema = database, schema
        self.definition, self.schedule, self.condition = definition, schedule, condition
        self.resumed = False
        self.runs = 0
        self.failure = None


class Stream:
    """Holds copies of the rows that its table got since they were last consumed."""

    def __init__(self, source):
        self.source = source  # (database, schema, table)


class Catalog:
    """By full names, which are compared as they are: Snowflake's names are case-sensitive once unquoted ones have been
    folded to upper case."""

    def __init__(self):
        self.schemas = {}  # database → set of schemas
        self.tables = {}  # (database, schema, name) → Table
        self.tasks = {}
        self.streams = {}

    def find(self, name):
        table = self.tables.get(name)
        if table is None:
            raise missing("Object", ".".join(name))
        return table

    def check_schema(self, database, schema):
        if schema not in self.schemas.get(database, ()):
            raise missing("Schema", f"{database}.{schema}")

    def drop_schema(self, database, schema):
        self.schemas[database].discard(schema)
        for objects in (self.tables, self.tasks, self.streams):
            for name in [name for name in objects if name[:2] == (database, schema)]:
                del objects[name]

    # INFORMATION_SCHEMA

    def view(self, name, database):
        """(columns, rows) of INFORMATION_SCHEMA.<name> of a database."""
        here = [(full, table) for full, table in sorted(self.tables.items()) if full[0] == database]
        if name == "SCHEMATA":
            return ["CATALOG_NAME", "SCHEMA_NAME"], [(database, schema) for schema in sorted(self.schemas[database])]
        if name == "TABLES":
            return (["TABLE_CATALOG", "TABLE_SCHEMA", "TABLE_NAME", "TABLE_TYPE"],
                    [(*full, table.kind) for full, table in here])
        if name == "VIEWS":
            return (["TABLE_CATALOG", "TABLE_SCHEMA", "TABLE_NAME"],
                    [full for full, table in here if table.kind == "VIEW"])
        if name == "COLUMNS":
            return COLUMNS, [row for full, table in here for row in columns_rows(full, table)]
        if name == "TABLE_CONSTRAINTS":
            return (["TABLE_CATALOG", "TABLE_SCHEMA", "TABLE_NAME", "CONSTRAINT_TYPE", "ENFORCED"],
                    [(*full, "PRIMARY KEY", "NO") for full, table in here if table.key])
        raise missing("Object", f"INFORMATION_SCHEMA.{name}")

    # SHOW and DESCRIBE

    def show(self, what, scope, pattern):
        """(columns, rows). `scope`: a prefix of a full name."""

        def within(objects):
            return [(full, object_) for full, object_ in sorted(objects.items())
                    if full[: len(scope)] == scope and like(full[2], pattern)]

        if what == "SCHEMAS":
            rows = [(schema, database) for database, schemas in self.schemas.items() for schema in sorted(schemas)
                    if scope[:1] in ((), (database,)) and like(schema, pattern)]
            return ["name", "database_name"], rows
        if what == "DATABASES":
            return ["name"], [(name,) for name in sorted(self.schemas) if like(name, pattern)]
        if what in ("TABLES", "VIEWS", "OBJECTS"):
            wanted = {"TABLES": ("BASE TABLE",), "VIEWS": ("VIEW",)}.get(what, ("BASE TABLE", "VIEW"))
            rows = [(full[2], full[0], full[1], table.kind) for full, table in within(self.tables) if table.kind in wanted]
            return ["name", "database_name", "schema_name", "kind"], rows
        if what == "COLUMNS":
            rows = [(full[2], full[1], name, str(column.type), full[0])
                    for full, table in sorted(self.tables.items()) if full[: len(scope)] == scope
                    for name, column in table.columns.items() if like(name, pattern)]
            return ["table_name", "schema_name", "column_name", "data_type", "database_name"], rows
        if what == "PRIMARY KEYS":
            rows = [(*full, name, number) for full, table in within(self.tables) for number, name in enumerate(table.key, 1)]
            return ["database_name", "schema_name", "table_name", "column_name", "key_sequence"], rows
        if what == "TASKS":
            rows = [(full[2], full[0], full[1], task.schedule, "started" if task.resumed else "suspended", task.definition,
                     task.condition) for full, task in within(self.tasks)]
            return ["name", "database_name", "schema_name", "schedule", "state", "definition", "condition"], rows
        if what == "STREAMS":
            rows = [(full[2], full[0], full[1], ".".join(stream.source)) for full, stream in within(self.streams)]
            return ["name", "database_name", "schema_name", "table_name"], rows
        if what == "PIPES":
            return ["name", "database_name", "schema_name"], []
        raise invalid(f"SHOW {what} is not known here.")

    def describe(self, name):
        table = self.find(name)
        rows = [(column_name, str(column.type), "COLUMN", "Y" if column.nullable else "N", column.default,
                 "Y" if column_name in table.key else "N") for column_name, column in table.columns.items()]
        return ["name", "type", "kind", "null?", "default", "primary key"], rows


COLUMNS = ["TABLE_CATALOG", "TABLE_SCHEMA", "TABLE_NAME", "COLUMN_NAME", "ORDINAL_POSITION", "COLUMN_DEFAULT",
           "IS_NULLABLE", "DATA_TYPE", "CHARACTER_MAXIMUM_LENGTH", "NUMERIC_PRECISION", "NUMERIC_SCALE",
           "DATETIME_PRECISION"]


def columns_rows(full, table):
    for number, (name, column) in enumerate(table.columns.items(), 1):
        type_ = column.type
        kind = type_.data_type()
        yield (*full, name, number, column.default, "YES" if column.nullable else "NO", kind,
               type_.precision if kind in ("TEXT", "BINARY") else None,
               type_.precision if kind == "NUMBER" else None, type_.scale,
               type_.precision if kind.startswith("TIME") else None)


def like(text, pattern):
    """SHOW … LIKE: without regard to case."""
    if pattern is None:
        return True
    expression = re.escape(pattern).replace("%", ".*").replace("_", ".")
    return re.fullmatch(expression, text, re.IGNORECASE) is not None
