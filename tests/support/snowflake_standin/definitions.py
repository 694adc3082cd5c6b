"""Statements that define things: tables and their columns, schemas, views, tasks and streams, and what SHOW says."""

import re

from sqlglot import exp

from . import script
from .catalog import Column, Stream, Table, Task, exists_already, invalid, missing, quoted
from .column_types import Type
from .result import Result
from .translate import Translator

NAME = r'((?:"(?:[^"]|"")+"|[\w$]+)(?:\.(?:"(?:[^"]|"")+"|[\w$]+))*)'
STREAM_COLUMNS = ("METADATA$ACTION", "METADATA$ISUPDATE", "METADATA$ROW_ID")

DONE = "Statement executed successfully."


def parts_of(name):
    """A name as SQL spells it: its parts, unquoted ones folded to upper case."""
    return tuple(part[1:-1].replace('""', '"') if part[0] == '"' else part.upper()
                 for part in re.findall(r'"(?:[^"]|"")+"|[\w$]+', name))


def match(pattern, text):
    return re.fullmatch(pattern, text, re.IGNORECASE | re.DOTALL)


class Definitions:
    """Works on the engine's connection, under its lock."""

    def __init__(self, engine):
        self.engine = engine
        self.catalog = engine.catalog
        self.connection = engine.connection

    def full(self, name, session):
        """(database, schema, name); `name` as SQL spells it."""
        parts = parts_of(name)
        full = (session.database, session.schema, None)[: 3 - len(parts)] + parts
        if None in full:
            raise missing("Object", name)
        return full

    # Statements that sqlglot does not parse

    def by_text(self, text, session):
        """The Result, or None for statements that sqlglot knows."""
        for pattern, carry_out in (
            (rf"CREATE\s+(OR\s+REPLACE\s+)?TASK\s+(IF\s+NOT\s+EXISTS\s+)?{NAME}\s+(.*?)\bAS\s+(.*)", self._create_task),
            (rf"ALTER\s+TASK\s+(?:IF\s+EXISTS\s+)?{NAME}\s+(RESUME|SUSPEND)", self._alter_task),
            (rf"EXECUTE\s+TASK\s+{NAME}", self._execute_task),
            (rf"CREATE\s+(OR\s+REPLACE\s+)?STREAM\s+(IF\s+NOT\s+EXISTS\s+)?{NAME}\s+ON\s+TABLE\s+{NAME}(.*)", self._create_stream),
            (rf"DROP\s+(TASK|STREAM)\s+(IF\s+EXISTS\s+)?{NAME}", self._drop_object),
            (r"(?:SHOW)\s+(?:TERSE\s+)?(PRIMARY\s+KEYS|\w+)(?:\s+LIKE\s+'([^']*)')?"
             rf"(?:\s+IN\s+(?:(ACCOUNT|DATABASE|SCHEMA|TABLE|VIEW)\b)?\s*{NAME}?)?(?:\s+LIMIT\s+\d+)?", self._show),
            (rf"DESC(?:RIBE)?\s+(?:TABLE|VIEW)\s+{NAME}", self._describe),
            (rf"ALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?{NAME}\s+SET\s+(.*)", self._set_options),
            (r"(GRANT|REVOKE|SET|UNSET|ALTER\s+SESSION)\s.*|USE\s+(ROLE|WAREHOUSE|SECONDARY)\s.*", lambda found, session: None),
        ):
            if found := match(pattern, text):
                return carry_out(found, session) or Result.message(DONE)
        return None

    def _create_task(self, found, session):
        replace, unless, name, properties, definition = found.groups()
        full = self.full(name, session)
        self.catalog.check_schema(*full[:2])
        if full in self.catalog.tasks and not replace:
            if unless:
                return
            raise exists_already(name)
        schedule = re.search(r"SCHEDULE\s*=\s*'([^']*)'", properties, re.IGNORECASE)
        condition = re.search(r"WHEN\s+(.*)$", properties, re.IGNORECASE | re.DOTALL)
        self.catalog.tasks[full] = Task(
            session.database, session.schema, definition, schedule and schedule[1], condition and condition[1].strip()
        )

    def _find_task(self, name, session):
        full = self.full(name, session)
        if full not in self.catalog.tasks:
            raise missing("Task", name)
        return self.catalog.tasks[full]

    def _alter_task(self, found, session):
        self._find_task(found[1], session).resumed = found[2].upper() == "RESUME"

    def _execute_task(self, found, session):
        self.run_task(self._find_task(found[1], session))

    def run_task(self, task):
        """In a session of its own; whether its condition let it run. A failure is kept, as a task's history would."""
        if task.condition:
            streams = re.findall(r"SYSTEM\$STREAM_HAS_DATA\s*\(\s*'([^']+)'\s*\)", task.condition, re.IGNORECASE)
            if not any(self._has_data(name, task) for name in streams):
                return False
        task.runs += 1
        task.failure = None
        outer = self.engine.session
        try:
            self.engine.run(task.definition, task.database, task.schema)
        except Exception as failure:
            task.failure = failure
        finally:
            self.engine.session = outer
        return True

    def _has_data(self, name, task):
        full = self.full(name, task)
        return self.connection.execute(f"SELECT count(*) > 0 FROM {quoted(*full)}").fetchone()[0]

    def _create_stream(self, found, session):
        replace, unless, name, source, _ = found.groups()
        full, source = self.full(name, session), self.full(source, session)
        columns = self.catalog.find(source).columns
        if full in self.catalog.streams and not replace:
            if unless:
                return
            raise exists_already(name)
        self.connection.execute(
            f"CREATE OR REPLACE TABLE {quoted(*full)} AS SELECT *, 'INSERT' AS {quoted(STREAM_COLUMNS[0])},"
            f" false AS {quoted(STREAM_COLUMNS[1])}, uuid()::VARCHAR AS {quoted(STREAM_COLUMNS[2])} FROM {quoted(*source)} LIMIT 0"
        )
        self.catalog.streams[full] = Stream(source)
        extra = {column: Column(Type("VARCHAR", 100)) for column in STREAM_COLUMNS}
        self.catalog.tables[full] = Table("STREAM", {**columns, **extra})

    def _drop_object(self, found, session):
        kind, unless, name = found.groups()
        full = self.full(name, session)
        objects = self.catalog.tasks if kind.upper() == "TASK" else self.catalog.streams
        if objects.pop(full, None) is None:
            if not unless:
                raise missing(kind.capitalize(), name)
        elif kind.upper() == "STREAM":
            del self.catalog.tables[full]
            self.connection.execute(f"DROP TABLE {quoted(*full)}")

    def _show(self, found, session):
        what, pattern, kind, name = found.groups()
        scope = parts_of(name) if name else ()
        if not name and (kind or "").upper() != "ACCOUNT":
            scope = tuple(part for part in (session.database, session.schema) if part)
        elif (kind or "").upper() == "SCHEMA" and len(scope) == 1:
            scope = (session.database, *scope)
        elif (kind or "").upper() == "TABLE":
            scope = self.full(name, session)
            self.catalog.find(scope)
        if what.upper() == "SCHEMAS":
            scope = scope[:1]
        return Result.of_texts(*self.catalog.show(" ".join(what.upper().split()), scope, pattern))

    def _describe(self, found, session):
        return Result.of_texts(*self.catalog.describe(self.full(found[1], session)))

    def _set_options(self, found, session):
        self.catalog.find(self.full(found[1], session)).options.update(re.findall(r"(\w+)\s*=\s*('[^']*'|\w+)", found[2]))

    # Statements that sqlglot parses

    def run(self, statement, session):
        translator = Translator(self.catalog, session.database, session.schema)
        if isinstance(statement, exp.Use):
            self._use(statement, session)
        elif isinstance(statement, exp.TruncateTable):
            for table in statement.expressions:
                self._truncate(translator.name(table), statement.args.get("exists"))
        elif isinstance(statement, exp.Create):
            return Result.message(self._create(statement, translator, session) or DONE)
        elif isinstance(statement, exp.Drop):
            self._drop(statement, translator)
        elif isinstance(statement, exp.Alter):
            self._alter(statement, translator)
        return Result.message(DONE)

    def _use(self, statement, session):
        name, kind = statement.this, str(statement.args.get("kind") or "").upper()
        if kind == "SCHEMA":
            session.database, session.schema = name.db or session.database, name.name
        else:
            session.database, session.schema = name.name, "PUBLIC"

    def _truncate(self, full, unless):
        if unless and full not in self.catalog.tables:
            return
        self.catalog.find(full)
        self.connection.execute(f"DELETE FROM {quoted(*full)}")

    def create_database(self, name, unless=False):
        if name in self.catalog.schemas:
            if unless:
                return
            raise exists_already(name)
        self.connection.execute(f"ATTACH ':memory:' AS {quoted(name)}")
        self.catalog.schemas[name] = set()
        self.create_schema(name, "PUBLIC")

    def create_schema(self, database, schema, unless=False):
        if database not in self.catalog.schemas:
            raise missing("Database", database)
        if schema in self.catalog.schemas[database]:
            if unless:
                return
            raise exists_already(schema)
        self.connection.execute(f"CREATE SCHEMA {quoted(database, schema)}")
        self.catalog.schemas[database].add(schema)

    def _create(self, statement, translator, session):
        kind = statement.kind.upper()
        unless, replace = statement.args.get("exists"), statement.args.get("replace")
        node = statement.this.this if isinstance(statement.this, exp.Schema) else statement.this
        if kind == "DATABASE":
            return self.create_database(node.name, unless)
        if kind == "SCHEMA":
            # Parsed as a table's name with nothing in the table's place.
            return self.create_schema(node.catalog or session.database, node.db, unless)
        full = translator.name(node)
        self.catalog.check_schema(*full[:2])
        if full in self.catalog.tables and not replace:
            if unless:
                return f"{full[2]} already exists, statement succeeded."
            raise exists_already(full[2])
        if kind == "VIEW":
            self._create_query(statement, translator, full, "VIEW")
        elif kind == "TABLE" and statement.expression:
            self._create_query(statement, translator, full, "TABLE")
        elif kind == "TABLE" and isinstance(statement.this, exp.Schema):
            self._create_table(statement, full)
        else:
            raise invalid(f"CREATE {kind} of this shape is not known here.")

    def _create_query(self, statement, translator, full, kind):
        """A view, or a table made of a query; its columns have the types that DuckDB gives them."""
        query = translator.sql(translator.resolve(statement.expression))
        self.connection.execute(f"CREATE OR REPLACE {kind} {quoted(*full)} AS {query}")
        described = self.connection.execute(f"DESCRIBE {quoted(*full)}").fetchall()
        columns = {name: Column(Type.of(exp.DataType.build(held, dialect="duckdb")) if held != "JSON" else Type("VARIANT"))
                   for name, held, *_ in described}
        self.catalog.tables[full] = Table("VIEW" if kind == "VIEW" else "BASE TABLE", columns)
        self.engine.forget_loader(full)

    def _create_table(self, statement, full):
        columns, key = {}, []
        for definition in statement.this.expressions:
            if isinstance(definition, exp.ColumnDef):
                name = definition.name
                if name in columns:
                    raise invalid(f"duplicate column name '{name}'")
                columns[name] = self._column(definition)
                if definition.find(exp.PrimaryKeyColumnConstraint):
                    key.append(name)
            elif primary := definition.find(exp.PrimaryKey):
                key = [part.name for part in primary.expressions]
        for name in key:
            if name not in columns:
                raise invalid(f"invalid identifier '{name}'")
            columns[name].nullable = False
        # A primary key is not enforced there, hence not declared here.
        listed = ", ".join(self._definition(name, column) for name, column in columns.items())
        self.connection.execute(f"CREATE OR REPLACE TABLE {quoted(*full)} ({listed})")
        self.catalog.tables[full] = Table("BASE TABLE", columns, key)
        self.engine.forget_loader(full)

    def _column(self, definition):
        try:
            column = Column(Type.of(definition.kind))
        except ValueError as failure:
            raise invalid(str(failure)) from None
        for constraint in definition.constraints:
            if isinstance(constraint.kind, exp.NotNullColumnConstraint) and not constraint.kind.args.get("allow_null"):
                column.nullable = False
            elif isinstance(constraint.kind, exp.DefaultColumnConstraint):
                column.default = constraint.kind.this.sql(dialect="duckdb")
        return column

    @staticmethod
    def _definition(name, column):
        default = f" DEFAULT {column.default}" if column.default is not None else ""
        return f"{quoted(name)} {column.type.held_as()}{default}{'' if column.nullable else ' NOT NULL'}"

    def _drop(self, statement, translator):
        kind, unless = statement.args["kind"].upper(), statement.args.get("exists")
        node = statement.args["tables"][0]
        if kind == "SCHEMA":
            database, schema = node.catalog or translator.database, node.db
            if schema not in self.catalog.schemas.get(database, ()):
                if unless:
                    return
                raise missing("Schema", schema)
            self.connection.execute(f"DROP SCHEMA {quoted(database, schema)} CASCADE")
            return self.catalog.drop_schema(database, schema)
        if kind not in ("TABLE", "VIEW"):
            raise invalid(f"DROP {kind} is not known here.")
        full = translator.name(node)
        if full not in self.catalog.tables:
            if unless:
                return
            raise missing("Table", ".".join(full))
        self.connection.execute(f"DROP {kind} {quoted(*full)}")
        del self.catalog.tables[full]

    def _alter(self, statement, translator):
        full = translator.name(statement.this)
        if full not in self.catalog.tables and statement.args.get("exists"):
            return
        table = self.catalog.find(full)
        for action in statement.args["actions"]:
            self._alter_one(full, table, action)
        self.engine.forget_loader(full)

    def _alter_one(self, full, table, action):
        head = f"ALTER TABLE {quoted(*full)}"
        if isinstance(action, exp.ColumnDef):
            name = action.name
            if name in table.columns:
                if action.args.get("exists"):
                    return
                raise invalid(f"column '{name}' already exists")
            column = self._column(action)
            if not column.nullable and column.default is None and self._rows(full):
                raise invalid(f"Non-nullable column '{name}' cannot be added to non-empty table '{full[2]}'.")
            nullable, column.nullable = column.nullable, True
            self.connection.execute(f"{head} ADD COLUMN {self._definition(name, column)}")
            column.nullable = nullable
            table.columns[name] = column
        elif isinstance(action, exp.AlterColumn):
            name = action.this.name
            if name not in table.columns:
                raise invalid(f"column '{name}' does not exist")
            self._alter_column(head, name, table.columns[name], action)
        elif isinstance(action, exp.Drop):
            for column in action.args["tables"]:
                self.connection.execute(f"{head} DROP COLUMN {quoted(column.name)}")
                del table.columns[column.name]
        elif isinstance(action, exp.RenameColumn):
            old, new = action.this.name, action.args["to"].name
            self.connection.execute(f"{head} RENAME COLUMN {quoted(old)} TO {quoted(new)}")
            table.columns = {new if name == old else name: column for name, column in table.columns.items()}
        elif isinstance(action, exp.AlterRename):
            new = action.this.name
            self.connection.execute(f"{head} RENAME TO {quoted(new)}")
            self.catalog.tables[(*full[:2], new)] = self.catalog.tables.pop(full)
        else:
            raise invalid(f"ALTER TABLE {type(action).__name__} is not known here.")

    def _alter_column(self, head, name, column, action):
        if wanted := action.args.get("dtype"):
            type_ = Type.of(wanted)
            if not column.type.widens_to(type_):
                raise invalid(f"cannot change column {name} from type {column.type} to {type_}")
            self.connection.execute(f"{head} ALTER COLUMN {quoted(name)} TYPE {type_.held_as()}")
            column.type = type_
        elif action.args.get("drop") and action.args.get("allow_null"):
            self.connection.execute(f"{head} ALTER COLUMN {quoted(name)} DROP NOT NULL")
            column.nullable = True
        elif action.args.get("drop"):
            self.connection.execute(f"{head} ALTER COLUMN {quoted(name)} DROP DEFAULT")
            column.default = None
        else:
            raise invalid("ALTER COLUMN of this shape is not known here.")

    def _rows(self, full):
        return self.connection.execute(f"SELECT count(*) > 0 FROM {quoted(*full)}").fetchone()[0]
