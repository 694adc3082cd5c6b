#!/usr/bin/python3
"""Prints every row version that the file destination holds, in order: the table's name, a tab, the JSON object. The
lines are ready for PostgreSQL's COPY. A TRUNCATE empties what came before, so rows that it removed are left out."""

import gzip
import json
import subprocess
import sys
from pathlib import Path


def lines_of(file):
    if file.suffix == ".gz":
        return gzip.decompress(file.read_bytes())
    if file.suffix == ".zst":
        return subprocess.run(["zstd", "-dcq", file], check=True, stdout=subprocess.PIPE).stdout
    return file.read_bytes()


def main(path):
    files = {}  # by table: those that count
    with open(path / "manifest.ndjson", "rb") as manifest:
        for line in manifest:
            if not line.endswith(b"\n"):
                break  # is being appended
            for step in json.loads(line)["steps"]:
                if "truncated" in step:
                    for table in step["truncated"]:
                        files.pop((table["schema"], table["table"]), None)
                else:
                    files.setdefault((step["schema"], step["table"]), []).append(path / step["file"])
    for (_, table), segments in files.items():
        for segment in segments:
            for row in lines_of(segment).split(b"\n")[:-1]:
                sys.stdout.buffer.write(table.encode() + b"\t" + row.replace(b"\\", b"\\\\") + b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
