#!/usr/bin/env python3
"""Prints the rows of a DuckDB file as PostgreSQL's COPY reads them: the table's name, a tab, the row as JSON.

usage: read_duckdb.py FILE TABLE...      (tables of the schema "public"; no pipeline may have the file open)
"""

import sys

import duckdb

path, *tables = sys.argv[1:]
with duckdb.connect(path, read_only=True) as connection:
    connection.execute("SET TimeZone = 'UTC'")
    for table in tables:
        for (row,) in connection.execute(f'SELECT CAST(to_json(r) AS VARCHAR) FROM public."{table}" r').fetchall():
            print(table, row.replace("\\", "\\\\"), sep="\t")
