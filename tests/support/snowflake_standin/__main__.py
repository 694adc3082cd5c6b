"""Runs a stand-in until SIGTERM or SIGINT: `python -m support.snowflake_standin --directory D`, from tests."""

import argparse
import json
import os
import signal
from pathlib import Path

from .standin import Standin


def main():
    parser = argparse.ArgumentParser(prog="snowflake_standin", description="A stand-in for Snowflake, in memory.")
    parser.add_argument("--directory", required=True, help="for keys and certificates; connection.json says where it listens")
    parser.add_argument("--port", type=int, default=0, help="default: any that is free")
    parser.add_argument("--account", default="standin")
    parser.add_argument("--user", default="etl")
    parser.add_argument("--database", default="ANALYTICS")
    parser.add_argument("--passphrase", help="of the private key that is made (default: none)")
    parser.add_argument("--instant", action="store_true", help="rows are counted and forgotten, for benches")
    options = parser.parse_args()

    stop = (signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)  # in every thread: sigwait below takes them
    directory = Path(options.directory)
    directory.mkdir(parents=True, exist_ok=True)
    arguments = {name: getattr(options, name) for name in ("account", "user", "database", "port", "passphrase", "instant")}
    with Standin(directory=directory, **arguments) as standin:
        written = directory / "connection.json.new"
        written.write_text(json.dumps({
            "url": standin.url, "host": "localhost", "port": standin.port, "ca_file": str(standin.ca_file),
            "private_key": str(standin.key_pair.private), "account": standin.account, "user": standin.user,
            "database": standin.database, "pid": os.getpid(),
        }))
        written.rename(directory / "connection.json")  # whoever sees the file sees all of it
        signal.sigwait(stop)


if __name__ == "__main__":
    main()
