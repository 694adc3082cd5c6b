"""A DuckDB file that holds what the source holds (mode "current") or every change (mode "history").

The rows, the position of the last one and the pipeline's documents are in one transaction, which is committed where a
transaction of the source ends. Tables have no primary key: DuckDB checks it against rows that the same transaction has
removed, keeps its index in memory, and does not reclaim the room of removed rows while there is one. Rows are found by
joining on their key instead.
"""

import functools
import json
import re

import duckdb
import etl_stream

PROGRESS = "main.etl_stream_progress"
TABLES = "main.etl_stream_tables"
POSITION = "position"  # among the keys of PROGRESS; no document is called like that

# Every pipeline that opens the same file has to bring the same.
SETTINGS = {
    "autoinstall_known_extensions": "false",
    # It would make "the last row of each key" an aggregate over sort keys, in which -0 is 0.
    "disabled_optimizers": "top_n_window_elimination",
    "memory_limit": "512MB",  # what is beyond goes to a file beside the database until the commit
}

TYPES = {
    "bool": "BOOLEAN",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "uint32": "UINTEGER",
    "float": "FLOAT",
    "double": "DOUBLE",
    "large_string": "VARCHAR",
    "json": "JSON",
    "large_binary": "BLOB",
    "date32": "DATE",
    "time64[us]": "TIME",
    "timestamp[us]": "TIMESTAMP",
    "timestamp[us, UTC]": "TIMESTAMP WITH TIME ZONE",
    "month_day_nano_interval": "INTERVAL",
    "uuid": "UUID",
}


def duckdb_type(arrow):
    """DuckDB's name of an Arrow type, as the catalog spells it."""
    if match := re.fullmatch(r"list<(.*)>", arrow):
        return duckdb_type(match[1]) + "[]"
    if match := re.fullmatch(r"decimal128\((\d+), (\d+)\)", arrow):
        return f"DECIMAL({match[1]},{match[2]})"
    return TYPES[arrow]


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    return "'" + text.replace("'", "''") + "'"


class Table:
    """One table of the source in one version of its columns, and the SQL that applies its rows.

    The rows of a batch are called by place: o(peration), p(osition), t(ime), k(ey before), u(nchanged), and c0, c1, …
    for the columns, so that no name can collide.
    """

    def __init__(self, source, schema):
        self.oid = source["oid"]
        self.source_name = f"{quote(source['schema'])}.{quote(source['name'])}"
        self.schema = schema or source["schema"]
        self.name = source["name"]
        self.sql_name = f"{quote(self.schema)}.{quote(self.name)}"
        self.columns = source["columns"]
        names = [column["name"] for column in self.columns]
        self.key = [names.index(name) for name in source["key"]]
        self.places = [f"c{number}" for number in range(len(names))]
        self.view = f"etl_stream_batch AS r({', '.join(['o', 'p', 't', 'k', 'u', *self.places])})"

    def column(self, number):
        return quote(self.columns[number]["name"])

    def column_list(self):
        return ", ".join(quote(column["name"]) for column in self.columns)

    def same_key(self, other):
        """Whether the target's row `d` has the key that the row `other` has."""
        return " AND ".join(f"d.{self.column(number)} = {other}.c{number}" for number in self.key)

    def same_old_key(self):
        return " AND ".join(f"d.{self.column(number)} = struct_extract(r.k, {literal(self.columns[number]['name'])})"
                            for number in self.key)

    def key_places(self):
        return ", ".join(f"c{number}" for number in self.key)

    def insert(self, rows):
        return f"INSERT INTO {self.sql_name} ({self.column_list()}) {rows}"


def explained(failure, path):
    """The failure in our own words, where it says nothing of rows; else None."""
    text = str(failure)
    if "Conflicting lock" in text or "Could not set lock" in text:
        holder = re.search(r"\(PID \d+\)", text)
        return etl_stream.Error(f"{path} is open in another process {holder[0] if holder else ''}".rstrip(),
                                "DuckDB lets one process write a file, and no other read it meanwhile.")
    if "No space left" in text:
        return etl_stream.Error(f"no space is left for {path}")
    if any(sign in text for sign in ("version number", "newer version", "not a valid DuckDB database", "Corrupt database")):
        return etl_stream.ConfigError(f"{path} cannot be read by DuckDB {duckdb.__version__}",
                                      "It was written by a newer version, is damaged, or is no DuckDB file.")
    if "Permission denied" in text or "No such file or directory" in text or "Cannot open" in text:
        return etl_stream.ConfigError(f"{path} cannot be opened for writing: it is missing a directory or a permission")
    return None


def in_our_words(method):
    """Lets DuckDB's failures say what they are about, where that can be told."""
    @functools.wraps(method)
    def told(self, *arguments):
        try:
            return method(self, *arguments)
        except duckdb.Error as failure:
            if words := explained(failure, self.path):
                raise words from None
            raise
    return told


def trace(before, columns):
    """What is to be remembered of the columns, and the renames that lead there as (old, new), which may swap names.

    A column is known again by its number at the source. Where that is not known (it is 0 then), a name that the column
    once had tells. Else its place does, when nothing but names changed: columns are in the order of their numbers."""
    now = {column["name"] for column in columns}
    same_types = [known["type"] for known in before] == [column["arrow"] for column in columns]
    remembered, renames = [], []

    def find(place, number, name):
        for known in before:
            if known["number"] == number if number and known["number"] else name == known["names"][0]:
                return known
        if number:
            return None
        gone = [known for known in before if known["names"][0] not in now]
        for known in gone:
            if name in known["names"]:
                return known
        return before[place] if same_types and before[place] in gone else None

    for place, column in enumerate(columns):
        name = column["name"]
        known = find(place, column["attnum"], name) or {"number": 0, "names": [name]}
        old = known["names"][0]
        names = [name, *(former for former in known["names"] if former != name)]
        remembered.append({"number": column["attnum"] or known["number"], "names": names, "type": column["arrow"]})
        if old != name:
            renames.append((old, name))
    return remembered, renames


class Database:
    """The file, as one pipeline writes it: what a module for the `python` destination offers (destination/python has
    the methods). Errors leave it to be closed; what was not committed is gone then."""

    renames = True  # and the pipeline sees to it that no name is taken

    def __init__(self, config):
        self.path = config["path"]
        self.pipeline = config["pipeline"]
        self.schema = config.get("schema", "")
        self.keeps_history = config["mode"] == "history"
        self.metadata = [(config["operation_column"], "VARCHAR"), (config["position_column"], "VARCHAR"),
                         (config["commit_time_column"], "TIMESTAMP WITH TIME ZONE"), ("_etl_old_key", "JSON"),
                         ("_etl_unchanged", "VARCHAR[]")]
        self.tables = {}
        self.accepted = self.committed = ""
        self.in_transaction = False
        self.can_commit = True
        self.connection = None

    @in_our_words
    def recover(self):
        """The position up to which rows are there (empty: none), and the documents."""
        self.connection = duckdb.connect(self.path, config=SETTINGS)
        run = self.connection.execute
        run("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
        run(f"CREATE TABLE IF NOT EXISTS {PROGRESS} (pipeline VARCHAR, key VARCHAR, value VARCHAR)")
        run(f"CREATE TABLE IF NOT EXISTS {TABLES} (pipeline VARCHAR, source VARCHAR, oid UINTEGER, target VARCHAR, "
            "columns VARCHAR)")
        rows = run(f"SELECT key, value FROM {PROGRESS} WHERE pipeline = ?", [self.pipeline]).fetchall()
        documents = dict(rows)
        self.accepted = self.committed = documents.pop(POSITION, "")
        return self.committed, documents

    def begin(self):
        if not self.in_transaction:
            self.connection.execute("BEGIN")
            self.in_transaction = True

    # Tables

    @in_our_words
    def ensure_table(self, source):
        """Makes the target fit, inside the transaction at hand."""
        table = Table(source, self.schema)
        self.begin()
        if source.get("replaces"):
            self.give_up_replaced(table)
        self.check_names(table)
        self.move(table)
        wanted = [(column["name"], duckdb_type(column["arrow"])) for column in table.columns]
        if self.keeps_history:
            wanted = self.metadata + wanted
        stale = False
        existing = self.existing_columns(table)
        if existing is None:
            self.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(table.schema)}")
            columns = ", ".join(f"{quote(name)} {kind}" for name, kind in wanted)
            self.connection.execute(f"CREATE TABLE {table.sql_name} ({columns})")
            table.remembered, _ = trace([], table.columns)
        else:
            stale = self.fit_columns(table, source, existing, wanted)
        self.remember(table)
        self.tables[table.oid] = table
        has_rows = existing is not None and bool(
            self.connection.execute(f"SELECT 1 FROM {table.sql_name} LIMIT 1").fetchall())
        return {"created": existing is None, "has_rows": has_rows, "stale": stale}

    def give_up_replaced(self, table):
        """The source has dropped the table that the target was made for, and made another of its name. History is kept."""
        old = self.connection.execute(f"SELECT oid FROM {TABLES} WHERE pipeline = ? AND oid <> ? AND "
                                      "lower(target) = lower(?)", [self.pipeline, table.oid, table.sql_name]).fetchall()
        for (oid,) in old:
            self.connection.execute(f"DELETE FROM {TABLES} WHERE pipeline = ? AND oid = ?", [self.pipeline, oid])
        if old and not self.keeps_history:
            self.connection.execute(f"DROP TABLE IF EXISTS {table.sql_name}")

    def move(self, table):
        """Gives the target the name that the source's table has by now."""
        run = self.connection.execute
        rows = run(f"SELECT target FROM {TABLES} WHERE pipeline = ? AND oid = ?", [self.pipeline, table.oid]).fetchall()
        if not rows or rows[0][0].lower() == table.sql_name.lower():
            return
        old = rows[0][0]
        was = run("SELECT schema_name FROM duckdb_tables() WHERE database_name = current_database() AND "
                  "'\"' || replace(schema_name, '\"', '\"\"') || '\".\"' || replace(table_name, '\"', '\"\"') || '\"' = ?",
                  [old]).fetchone()
        if was is None:
            return
        if self.existing_columns(table) is not None:
            raise etl_stream.DataError(f"{old} should become {table.sql_name}, and there is a table of that name",
                                       f"With the pipeline stopped, rename or drop it: DROP TABLE {table.sql_name}")
        if was[0].lower() == table.schema.lower():
            run(f"ALTER TABLE {old} RENAME TO {quote(table.name)}")
        else:
            run(f"CREATE SCHEMA IF NOT EXISTS {quote(table.schema)}")
            run(f"CREATE TABLE {table.sql_name} AS SELECT * FROM {old}; DROP TABLE {old}")

    def check_names(self, table):
        """DuckDB takes names that differ only by case for the same."""
        taken = {name.lower() for name, _ in self.metadata} if self.keeps_history else set()
        for column in table.columns:
            name = column["name"]
            if name.lower() in taken:
                raise etl_stream.DataError(
                    f"{table.source_name} has a column {quote(name)} besides one whose name differs by case at most, "
                    "or is one of metadata",
                    "DuckDB cannot tell such names apart. Rename it at the source, leave it out of the publication, or "
                    "call the columns of metadata otherwise.")
            taken.add(name.lower())
        if not table.columns and not self.keeps_history:
            raise etl_stream.DataError(f"{table.source_name} has no columns, which DuckDB's tables need")
        rows = self.connection.execute(
            f"SELECT pipeline, source, oid FROM {TABLES} WHERE lower(target) = lower(?)", [table.sql_name]).fetchall()
        for pipeline, source, oid in rows:
            if (pipeline, oid) == (self.pipeline, table.oid):
                continue
            if (pipeline, source) == (self.pipeline, table.source_name):
                raise etl_stream.DataError(
                    f"{table.sql_name} holds the rows of another table, which had the name {table.source_name} before",
                    f"With the pipeline stopped: DROP TABLE {table.sql_name}; DELETE FROM {TABLES} WHERE oid = {oid}")
            raise etl_stream.DataError(
                f"{table.source_name} would be written into the table of {source} of pipeline {pipeline}",
                "Tables and schemas whose names differ only by case are one in DuckDB, and so are tables of several "
                "schemas when destination.schema is set. Use another file for one of them.")

    def existing_columns(self, table):
        """Name and type of each column; None when there is no such table."""
        rows = self.connection.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = current_database() AND "
            "lower(schema_name) = lower(?) AND lower(table_name) = lower(?) ORDER BY column_index",
            [table.schema, table.name]).fetchall()
        return dict(rows) or None

    def fit_columns(self, table, source, existing, wanted):
        """Renames what the source has renamed, adds what is missing, changes types. Columns that the source has no longer
        stay as they are: what they hold cannot be had again. Whether rows that are there have to be copied again."""
        def alter(change):
            self.connection.execute(f"ALTER TABLE {table.sql_name} {change}")

        rows = self.connection.execute(f"SELECT columns FROM {TABLES} WHERE pipeline = ? AND oid = ?",
                                       [self.pipeline, table.oid]).fetchall()
        before = json.loads(rows[0][0]) if rows else []
        table.remembered, renames = trace(before, table.columns)
        self.rename_columns(alter, existing, renames)
        types = {known["number"]: known["type"] for known in before if known["number"]}
        numbers = {column["name"]: column["attnum"] for column in table.columns}
        present = {name.lower(): kind for name, kind in existing.items()}
        stale = False
        for name, kind in wanted:
            has = present.get(name.lower())
            was = types.get(numbers.get(name))
            if has is None:
                alter(f"ADD {quote(name)} {kind}")
            elif has != kind and was is not None and has == duckdb_type(was):
                stale = self.change_type(alter, table, source, name, has, kind) or stale
            elif has != kind:
                raise self.other_type(table, name, has, kind)
            elif before and was is None and name in numbers:
                stale = True  # left by an earlier column of that name
        return stale

    def rename_columns(self, alter, existing, renames):
        taken = {name.lower() for name in existing} - {old.lower() for old, _ in renames}
        renames = [(old, new) for old, new in renames if old in existing and new.lower() not in taken]
        handed_on = {new.lower() for _, new in renames} & {old.lower() for old, _ in renames}
        if handed_on:
            for number, (old, _) in enumerate(renames):
                alter(f"RENAME {quote(old)} TO etl_stream_renamed_{number}")
        for number, (old, new) in enumerate(renames):
            alter(f"RENAME {f'etl_stream_renamed_{number}' if handed_on else quote(old)} TO {quote(new)}")
        kinds = [existing.pop(old) for old, _ in renames]
        existing.update({new: kind for (_, new), kind in zip(renames, kinds)})

    def change_type(self, alter, table, source, name, has, kind):
        """True when values had to go, which the copy that follows brings back."""
        spelled = f"{quote(name)} SET DATA TYPE {kind}"
        try:
            wrong = self.connection.execute(
                f"SELECT count(*) FROM {table.sql_name} WHERE {quote(name)} IS NOT NULL AND "
                f"TRY_CAST({quote(name)} AS {kind}) IS NULL").fetchone()[0]
        except duckdb.Error:  # there is no cast between the two
            wrong = 1
        if not wrong:
            alter(f"ALTER {spelled}")
            return False
        if not source.get("copied_again") or self.keeps_history or name in source["key"]:
            raise self.other_type(table, name, has, kind)
        alter(f"ALTER {spelled} USING NULL")
        return True

    def other_type(self, table, name, has, kind):
        return etl_stream.DataError(
            f"column {quote(name)} of {table.sql_name} is {has} and should be {kind}",
            f"With the pipeline stopped: ALTER TABLE {table.sql_name} ALTER {quote(name)} SET DATA TYPE {kind}")

    def remember(self, table):
        columns = json.dumps(table.remembered)
        self.connection.execute(f"DELETE FROM {TABLES} WHERE pipeline = ? AND oid = ?", [self.pipeline, table.oid])
        self.connection.execute(f"INSERT INTO {TABLES} VALUES (?, ?, ?, ?, ?)",
                                [self.pipeline, table.source_name, table.oid, table.sql_name, columns])

    # Rows

    @in_our_words
    def write(self, source, batch):
        table = self.tables[source["oid"]]
        self.begin()
        try:
            if self.keeps_history:
                self.append_history(table, batch)
            elif not table.key or batch.only_new:
                self.append(table, batch)
            else:
                self.merge(table, batch)
        except (duckdb.DataError, duckdb.IntegrityError, duckdb.ProgrammingError) as failure:
            raise etl_stream.DataError(
                f"DuckDB refused rows of {table.sql_name}: {type(failure).__name__}",
                "Compare the table with the source's: types, constraints, indexes. Debug logging shows what DuckDB said."
            ) from failure

    def read(self, etl_stream_batch, sql):
        """Runs SQL that reads the rows, once. DuckDB finds them by the name of this parameter: a registered name would
        be kept, with the rows, until the transaction ends."""
        self.connection.execute(sql)

    def append_history(self, table, batch):
        names = ", ".join(quote(name) for name, _ in self.metadata)
        columns = ", ".join([names, *(quote(column["name"]) for column in table.columns)])
        rows = ", ".join(["o", "p", "t", "CASE WHEN k IS NOT NULL THEN to_json(k) END", "u", *table.places])
        self.read(batch, f"INSERT INTO {table.sql_name} ({columns}) SELECT {rows} FROM {table.view}")

    def append(self, table, batch):
        if not batch.only_new:
            raise etl_stream.DataError(
                f"{table.source_name}: a row was changed or removed, and without a key it cannot be found",
                "Give the table a primary key, or a replica identity index, at the source.")
        once = ""
        if table.key and (batch.copied or batch.copying):  # else the keys are new here, too
            keys = f"(SELECT {table.key_places()} FROM {table.view}) r"
            self.read(batch, f"DELETE FROM {table.sql_name} d USING {keys} WHERE {table.same_key('r')}")
            # A row that several of the source's changes have asked for comes as often.
            once = f" QUALIFY row_number() OVER (PARTITION BY {table.key_places()} ORDER BY p DESC) = 1"
        self.read(batch, table.insert(f"SELECT {', '.join(table.places)} FROM {table.view}{once}"))

    def merge(self, table, batch):
        run = self.connection.execute
        self.read(batch, f"CREATE OR REPLACE TEMP TABLE etl_rows AS SELECT * FROM {table.view}")
        rekeyed = run("SELECT p FROM etl_rows WHERE k IS NOT NULL ORDER BY p").fetchall()
        after = ""
        for (position,) in rekeyed:
            self.merge_run(table, f"p > '{after}' AND p < '{position}'")
            self.change_key(table, f"p = '{position}'")
            after = position
        self.merge_run(table, f"p > '{after}'" if after else "true")
        run("DROP TABLE etl_rows")

    def merge_run(self, table, which):
        """Rows without a change of key: the last version of each key wins."""
        run = self.connection.execute
        partial = run(f"SELECT DISTINCT unnest(u) FROM etl_rows WHERE {which} AND u IS NOT NULL").fetchall()
        if partial:
            self.merge_partial(table, which, {name for (name,) in partial})
            return
        last = f"SELECT * FROM etl_rows WHERE {which} " \
               f"QUALIFY row_number() OVER (PARTITION BY {table.key_places()} ORDER BY p DESC) = 1"
        run(f"DELETE FROM {table.sql_name} d USING (SELECT * FROM etl_rows WHERE {which}) r WHERE {table.same_key('r')}")
        run(table.insert(f"SELECT {', '.join(table.places)} FROM ({last}) WHERE o <> 'remove'"))

    def merge_partial(self, table, which, names):
        """Some rows lack values: each column's last value counts, and where the batch has none, the target's."""
        run = self.connection.execute
        # By position, and joined: aggregates that pick a value go by sort keys where it is a list, in which -0 is 0.
        positions, merged, sources, lacking = [], [], ["etl_net n JOIN etl_rows l USING (p)"], []
        for number, column in enumerate(table.columns):
            place = f"c{number}"
            if column["name"] in names and number not in table.key:
                absent = f"coalesce(list_contains(u, {literal(column['name'])}), false)"
                positions.append(f"max(p) FILTER (NOT {absent}) AS p{number}")
                sources.append(f"LEFT JOIN etl_rows v{number} ON v{number}.p = n.p{number}")
                merged.append(f"CASE WHEN n.p{number} IS NULL THEN d.{table.column(number)} ELSE v{number}.{place} END AS {place}")
                lacking.append(f"n.p{number} IS NULL")
            else:
                merged.append(f"l.{place}")
        run("CREATE OR REPLACE TEMP TABLE etl_net AS SELECT arg_max(o, p) AS o, max(p) AS p, "
            f"{', '.join([table.key_places(), *positions])} FROM etl_rows WHERE {which} GROUP BY {table.key_places()}")
        run(f"CREATE OR REPLACE TEMP TABLE etl_merged AS SELECT {', '.join(merged)} FROM {' '.join(sources)} "
            f"LEFT JOIN {table.sql_name} d ON {table.same_key('n')} "
            f"WHERE n.o <> 'remove' AND (NOT ({' OR '.join(lacking)}) OR d.rowid IS NOT NULL)")
        run(f"DELETE FROM {table.sql_name} d USING etl_net n WHERE {table.same_key('n')}")
        run(table.insert(f"SELECT {', '.join(table.places)} FROM etl_merged"))
        run("DROP TABLE etl_net; DROP TABLE etl_merged")

    def change_key(self, table, which):
        """One row whose key and some values change, while others were not sent: those come from the row of old key."""
        run = self.connection.execute
        (names,) = run(f"SELECT u FROM etl_rows WHERE {which}").fetchone()
        merged = [f"d.{table.column(number)} AS c{number}" if column["name"] in (names or []) else f"r.c{number}"
                  for number, column in enumerate(table.columns)]
        run(f"CREATE OR REPLACE TEMP TABLE etl_merged AS SELECT {', '.join(merged)} FROM etl_rows r "
            f"JOIN {table.sql_name} d ON {table.same_old_key()} WHERE {which}")
        run(f"DELETE FROM {table.sql_name} d USING (SELECT * FROM etl_rows WHERE {which}) r WHERE {table.same_old_key()}")
        run(f"DELETE FROM {table.sql_name} d USING etl_merged r WHERE {table.same_key('r')}")
        run(table.insert(f"SELECT {', '.join(table.places)} FROM etl_merged"))
        run("DROP TABLE etl_merged")

    @in_our_words
    def truncate(self, source, position):
        table = self.tables[source["oid"]]
        self.begin()
        if self.keeps_history:
            names = ", ".join(quote(name) for name, _ in self.metadata[:2])
            self.connection.execute(f"INSERT INTO {table.sql_name} ({names}) VALUES ('truncate', ?)", [position])
        else:
            self.connection.execute(f"DELETE FROM {table.sql_name}")

    # Progress

    @in_our_words
    def end_batch(self, position, documents, ends_transaction):
        """Everything up to `position` was written. Documents with an empty value go."""
        self.begin()
        for key, value in documents:
            self.put(key, value)
        if position > self.accepted:
            self.accepted = position
        self.can_commit = ends_transaction

    def put(self, key, value):
        self.connection.execute(f"DELETE FROM {PROGRESS} WHERE pipeline = ? AND key = ?", [self.pipeline, key])
        if value:
            self.connection.execute(f"INSERT INTO {PROGRESS} VALUES (?, ?, ?)", [self.pipeline, key, value])

    @in_our_words
    def durable(self):
        """Commits what is complete; the position up to which everything is on disk."""
        if self.in_transaction and self.can_commit:
            self.put(POSITION, self.accepted)
            self.connection.execute("COMMIT")
            self.in_transaction = False
            self.committed = self.accepted
        return self.committed

    def close(self):
        if self.connection:
            self.connection.close()


def open(config):
    return Database(config)
