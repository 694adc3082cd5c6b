"""Runs Snowflake statements on snowduck, in the virtual environment that has it: a JSON list of them on standard input,
the rows of each on standard output."""

import json
import sys

import snowduck
import snowflake.connector

snowduck.start_patch_snowflake()
cursor = snowflake.connector.connect(account="a", user="u", password="p", database="ANALYTICS", schema="PUBLIC").cursor()
for statement in ("CREATE DATABASE IF NOT EXISTS ANALYTICS", "USE DATABASE ANALYTICS", "CREATE SCHEMA IF NOT EXISTS PUBLIC"):
    cursor.execute(statement)
results = [cursor.execute(statement).fetchall() for statement in json.load(sys.stdin)]
json.dump(results, sys.stdout, default=str)
