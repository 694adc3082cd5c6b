"""A SQLite file that holds what the source's tables hold, with every row exactly once.

The position of each table is stored in one transaction with its rows. So whatever is killed when, the two agree, and
etl-stream goes on behind the position. The types are in etl_destination.py beside this file.
"""

import json
import sqlite3
from decimal import Decimal


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def plain(value):
    """What SQLite has no type for becomes text; a numeric keeps every digit."""
    if isinstance(value, Decimal):
        return str(value)
    return json.dumps(value, default=float) if isinstance(value, (dict, list)) else value


class Database:
    def __init__(self, path):
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.execute("CREATE TABLE IF NOT EXISTS etl_positions (oid INTEGER PRIMARY KEY, position TEXT NOT NULL)")

    def execute(self, *statement):
        if not self.database.in_transaction:
            self.database.execute("BEGIN IMMEDIATE")
        return self.database.execute(*statement)

    @staticmethod
    def target(table):
        return quote(f"{table['schema']}.{table['name']}")

    def ensure_table(self, table):
        """Adds columns, and leaves those that the source has no more: rows from before may still come."""
        target = self.target(table)
        present = [row[1] for row in self.execute(f"PRAGMA table_info({target})")]
        wanted = [column["name"] for column in table["columns"]]
        if not present:
            parts = [quote(name) for name in wanted]
            if table["key"]:
                parts.append(f"PRIMARY KEY ({', '.join(map(quote, table['key']))})")
            self.execute(f"CREATE TABLE {target} ({', '.join(parts)})")
            self.execute("DELETE FROM etl_positions WHERE oid = ?", (table["oid"],))
        for name in wanted:
            if present and name not in present:
                self.execute(f"ALTER TABLE {target} ADD {quote(name)}")
        return {"position": self.positions().get(table["oid"]), "created": not present}

    def write(self, table, batch):
        for line in batch.rows.splitlines():
            row = json.loads(line, parse_float=Decimal)
            operation = row.pop("_etl_operation")
            del row["_etl_position"], row["_etl_commit_time"]
            if operation == "remove":
                self.remove(table, row)
            elif operation == "rekey":
                self.change_key(table, row.pop("_etl_old_key"), row)
            else:
                self.put(table, row)
        self.store_position(table, batch.last)

    def put(self, table, row):
        """Inserts or updates; columns that an update left out keep their values."""
        names = [quote(name) for name in row]
        places = ", ".join("?" * len(row))
        statement = f"INSERT INTO {self.target(table)} ({', '.join(names)}) VALUES ({places})"
        if table["key"]:
            changes = ", ".join(f"{name} = excluded.{name}" for name in names)
            statement += f" ON CONFLICT DO UPDATE SET {changes}"
        self.execute(statement, [plain(value) for value in row.values()])

    def remove(self, table, key):
        condition = " AND ".join(f"{quote(name)} = ?" for name in table["key"])
        self.execute(f"DELETE FROM {self.target(table)} WHERE {condition}", [plain(key[name]) for name in table["key"]])

    def change_key(self, table, old_key, row):
        changes = ", ".join(f"{quote(name)} = ?" for name in row)
        condition = " AND ".join(f"{quote(name)} = ?" for name in table["key"])
        values = [*row.values(), *(old_key[name] for name in table["key"])]
        self.execute(f"UPDATE {self.target(table)} SET {changes} WHERE {condition}", [plain(value) for value in values])

    def truncate(self, table, position):
        self.execute(f"DELETE FROM {self.target(table)}")
        self.store_position(table, position)

    def store_position(self, table, position):
        self.execute("INSERT OR REPLACE INTO etl_positions VALUES (?, ?)", (table["oid"], position))

    def positions(self):
        return dict(self.database.execute("SELECT oid, position FROM etl_positions"))

    def durable(self):
        if self.database.in_transaction:
            self.database.execute("COMMIT")
        return self.positions()

    def close(self):
        self.database.close()


def open(config):
    return Database(config["settings"]["path"])
