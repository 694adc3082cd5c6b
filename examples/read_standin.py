#!/usr/bin/env python3
"""Prints the rows of the Snowflake stand-in's tables as PostgreSQL's COPY reads them: the table's name, a tab, the row as
JSON. Tables that are not there yet have no rows.

usage: read_standin.py CONNECTION.json TABLE...      (tables of the schema PUBLIC)
"""

import json
import ssl
import sys
import urllib.error
import urllib.request

path, *tables = sys.argv[1:]
with open(path, encoding="utf-8") as file:
    connection = json.load(file)
trust = ssl.create_default_context(cafile=connection["ca_file"])


def query(text):
    body = json.dumps({"text": text}).encode()
    with urllib.request.urlopen(connection["url"] + "/standin/raw", body, timeout=30, context=trust) as answer:
        return json.load(answer)["result"]


def name(*parts):
    return ".".join('"' + part + '"' for part in parts)


there = {table for (table,) in query(
    f"SELECT table_name FROM duckdb_tables() WHERE database_name = '{connection['database']}' AND schema_name = 'PUBLIC'")}
for table in tables:
    if table in there:
        source = name(connection["database"], "PUBLIC", table)
        for (row,) in query(f"SELECT CAST(to_json(r) AS VARCHAR) FROM {source} r"):
            print(table, row.replace("\\", "\\\\"), sep="\t")
