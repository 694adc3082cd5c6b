"""Executes Snowflake's SQL on DuckDB, and loads rows into its tables. One statement at a time."""

import logging
import re
import threading

import duckdb
import sqlglot
from sqlglot import exp

from . import result as results
from . import script
from .catalog import Catalog, SqlError, invalid, quoted
from .definitions import Definitions
from .landing import Loader, count_rows
from .result import Result
from .translate import MACROS, Translator

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # tells what it hands through as it is

MULTIPLE = SqlError("100090", "42P18", "Duplicate row detected during DML action")


class Session:
    """What one request of the SQL API has: names default to database and schema, and maybe a transaction."""

    def __init__(self, database=None, schema=None):
        self.database, self.schema = database, schema
        self.in_transaction = False
        self.read_streams = []  # by the transaction: it sees no rows that come later, and consumes them at its end
        self.late_rows = []  # (stream, temporary table) of rows that came later


class Engine:
    """Thread-safe; `lock` may be held to do several things as one."""

    def __init__(self):
        self.lock = threading.RLock()
        self.connection = duckdb.connect(":memory:")
        self.connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true; SET threads = 2")
        for head, text in MACROS.items():
            self.connection.execute(f"CREATE TEMP MACRO {head} AS {text}")
        self.catalog = Catalog()
        self.definitions = Definitions(self)
        self._loaders = {}
        # A column: its value in every row that ever landed is kept in the table temp.landed, with the table's name.
        self.recorded_column = None
        self.connection.execute("CREATE TEMP TABLE landed (table_name VARCHAR, value VARCHAR)")
        # Called between the statements of a transaction: Snowflake reads what others committed meanwhile.
        self.between_statements = lambda: None
        self._landed = []  # rows that came in between: a rollback must not take them along
        self.session = None

    def close(self):
        with self.lock:
            self.connection.close()

    # Rows

    def load(self, name, body, refused=()):
        """Rows of the ingest protocol; returns (how many did not fit, what is said of the last one)."""
        with self.lock:
            table = self.catalog.find(name)
            loader = self._loaders.get(name)
            if loader is None or loader.made_for is not table or loader.column_names != list(table.columns):
                columns = [(column_name, column.type, column.nullable) for column_name, column in table.columns.items()]
                loader = self._loaders[name] = Loader(self.connection, quoted(*name), columns)
                loader.made_for, loader.column_names = table, list(table.columns)
            rejected = loader.load(body, refused)
            if rejected[0] == count_rows(body):
                return rejected  # nothing is staged
            if self.recorded_column in loader.column_names:
                at = loader.column_names.index(self.recorded_column)
                self.connection.execute(f"INSERT INTO temp.landed SELECT ?, c{at} FROM staged WHERE misfit IS NULL", [name[2]])
            for stream_name, stream in self.catalog.streams.items():
                if stream.source == name:
                    self._feed(stream_name, f"SELECT *, 'INSERT', false, uuid() FROM ({loader.streamed})")
            if self.session and self.session.in_transaction:
                self._landed.append((name, body, refused))
            return rejected

    def _feed(self, stream, rows):
        if self.session and stream in self.session.read_streams:
            table = f"late {len(self.session.late_rows)}"
            self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(table)} AS {rows}")
            self.session.late_rows.append((stream, table))
        else:
            self.connection.execute(f"INSERT INTO {quoted(*stream)} {rows}")

    def forget_loader(self, name):
        self._loaders.pop(name, None)

    # Statements

    def run(self, text, database=None, schema=None):
        """Runs one statement or several; the Results in their order. Raises SqlError. What is not committed at the end
        is rolled back, as the SQL API has no sessions."""
        with self.lock:
            self.session = session = Session(database, schema)
            try:
                statements = script.split(text)
                if not statements:
                    raise invalid("Empty SQL statement.")
                return [self._one(statement, session) for statement in statements]
            except duckdb.Error as failure:
                raise SqlError("100000", "XX000", str(failure)) from failure
            finally:
                self._end(session, commit=False)
                self.session = None

    def query(self, text, database=None, schema=None):
        """The last statement's rows, as texts."""
        return self.run(text, database, schema)[-1].rows

    def _one(self, text, session):
        inside = script.block(text)
        if inside is not None:
            for statement in inside:
                result = self._one(statement, session)
            return result
        if session.in_transaction:
            self.between_statements()
        if answer := self._transaction(text, session):
            return answer
        if answer := self.definitions.by_text(text, session):
            return answer
        try:
            parsed = sqlglot.parse_one(text, dialect="snowflake")
        except sqlglot.errors.SqlglotError as failure:
            raise invalid(f"syntax error: {failure}") from None
        statement = Translator.fold(parsed)
        if isinstance(statement, (exp.Create, exp.Drop, exp.Alter, exp.TruncateTable, exp.Comment, exp.Grant, exp.Use)):
            if not isinstance(statement, (exp.TruncateTable, exp.Use)):
                self._end(session, commit=True)  # as in Snowflake, a DDL statement commits what is open
            return self.definitions.run(statement, session)
        translator = Translator(self.catalog, session.database, session.schema)
        if isinstance(statement, (exp.Merge, exp.Insert, exp.Delete, exp.Update)):
            return self._change(statement, translator, session)
        if isinstance(statement, (exp.Select, exp.SetOperation, exp.Subquery)):
            sql = translator.sql(translator.resolve(statement))
            translator.fill_information(self.connection)
            return results.of_query(self.connection, sql)
        raise invalid(f"not known here: {text[:60]}")

    def _transaction(self, text, session):
        if re.fullmatch(r"(BEGIN(\s+(TRANSACTION|WORK))?|START\s+TRANSACTION)", text, re.IGNORECASE):
            self._begin(session)
        elif re.fullmatch(r"COMMIT(\s+WORK)?", text, re.IGNORECASE):
            self._end(session, commit=True)
        elif re.fullmatch(r"ROLLBACK(\s+WORK)?", text, re.IGNORECASE):
            self._end(session, commit=False)
        else:
            return None
        return Result.message("Statement executed successfully.")

    def _begin(self, session):
        if not session.in_transaction:
            self.connection.begin()
            session.in_transaction = True

    def _end(self, session, commit):
        if not session.in_transaction:
            return
        session.in_transaction = False
        landed, self._landed = self._landed, []
        streams, session.read_streams = session.read_streams, []
        late, session.late_rows = session.late_rows, []
        if commit:
            for stream in streams:
                self.connection.execute(f"DELETE FROM {quoted(*stream)}")
            for stream, table in late:
                self.connection.execute(f"INSERT INTO {quoted(*stream)} SELECT * FROM {quoted(table)}")
            self.connection.commit()
            return
        self.connection.rollback()
        for name, body, refused in landed:
            self.load(name, body, refused)

    def _change(self, statement, translator, session):
        """DML. Streams that it reads are consumed when its transaction ends."""
        statement = translator.resolve(statement)
        alone = not session.in_transaction
        if alone:
            self._begin(session)
        session.read_streams += [name for name in translator.streams if name not in session.read_streams]
        try:
            changed = self._carry_out(statement, translator)
        except BaseException:
            if alone:
                self._end(session, commit=False)
            raise
        if alone:
            self._end(session, commit=True)
        return changed

    def _carry_out(self, statement, translator):
        if isinstance(statement, exp.Merge):
            self._refuse_several_matches(statement, translator)
            statement.set("returning", None)
            self.connection.execute(translator.sql(statement) + " RETURNING merge_action")
            actions = [row[0] for row in self.connection.fetchall()]
            kinds = {then.args["then"].__class__ for then in statement.args["whens"].expressions}
            counts = {"inserted": actions.count("INSERT"), "updated": actions.count("UPDATE"),
                      "deleted": actions.count("DELETE")}
            listed = {"inserted": exp.Insert, "updated": exp.Update, "deleted": exp.Var}
            return Result.changes(**{what: count for what, count in counts.items() if count or listed[what] in kinds})
        self.connection.execute(translator.sql(statement))
        count = self.connection.fetchone()[0]
        what = {exp.Insert: "inserted", exp.Delete: "deleted", exp.Update: "updated"}[type(statement)]
        return Result.changes(**{what: count})

    def _refuse_several_matches(self, merge, translator):
        """Snowflake's ERROR_ON_NONDETERMINISTIC_MERGE."""
        target, source, condition = (merge.args[part].sql(dialect="duckdb") for part in ("this", "using", "on"))
        name = quoted(merge.this.alias or merge.this.name)
        self.connection.execute(
            f"SELECT 1 FROM {target} JOIN {source} ON {condition} GROUP BY {name}.rowid HAVING count(*) > 1 LIMIT 1"
        )
        if self.connection.fetchone():
            raise SqlError(MULTIPLE.code, MULTIPLE.state, str(MULTIPLE))
