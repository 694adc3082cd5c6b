"""Random writers on several sessions, and SIGKILL at random moments. ETL_SEED replays a run's statements and moments;
ETL_RANDOM_SECONDS says how long."""

import os
import random
import threading
import time

import psycopg2

SECONDS = float(os.environ.get("ETL_RANDOM_SECONDS", "60"))
WRITERS = 4
KILLS = 12
TABLES = ("accounts", "pairs", "wide", "noted", "journal")

SCHEMA = """
CREATE TABLE accounts (id int PRIMARY KEY, n int, note text, body text);
ALTER TABLE accounts ALTER body SET STORAGE EXTERNAL;
CREATE TABLE pairs (v numeric, a int, b text, body text, PRIMARY KEY (b, a));
ALTER TABLE pairs ALTER body SET STORAGE EXTERNAL;
CREATE TABLE wide (id int PRIMARY KEY, flag bool, document jsonb, list text[], seen timestamptz, raw bytea);
ALTER TABLE wide REPLICA IDENTITY FULL, ALTER raw SET STORAGE EXTERNAL;
CREATE TABLE noted (id int NOT NULL, note text, body text);
ALTER TABLE noted ALTER body SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX noted_id ON noted (id);
ALTER TABLE noted REPLICA IDENTITY USING INDEX noted_id;
CREATE TABLE journal (n bigint, who text);
INSERT INTO accounts SELECT n, 0, 'first', CASE WHEN n % 20 = 0 THEN repeat(md5(n::text), 100) ELSE repeat('x', 90) END
  FROM generate_series(1, 30000) n;
INSERT INTO pairs SELECT n, n, 'k' || n % 7, repeat(md5(n::text), 70) FROM generate_series(1, 3000) n;
INSERT INTO wide SELECT n, true, jsonb_build_object('n', n), ARRAY['a', NULL], now(), decode(repeat(md5(n::text), 70), 'hex')
  FROM generate_series(1, 3000) n;
INSERT INTO noted SELECT n, 'first', repeat(md5(n::text), 70) FROM generate_series(1, 3000) n;
INSERT INTO journal SELECT n, 'first' FROM generate_series(1, 3000) n;
"""


class Writer(threading.Thread):
    """Transactions drawn from a seed. Conflicts between writers only roll back; what is drawn next stays the same."""

    def __init__(self, world, seed, number):
        super().__init__(name=f"writer {number}")
        self.random = random.Random(f"{seed} writer {number}")
        self.number = number
        self.world = world
        self.stopped = threading.Event()
        self.committed = 0
        self.failure = None

    def run(self):
        try:
            session = self.world.session()
            with session.cursor() as cursor:
                cursor.execute("SET lock_timeout = '2s'; SET deadlock_timeout = '100ms'")
            session.commit()
            while not self.stopped.is_set():
                self.transaction(session)
            session.close()
        except Exception as failure:  # shown by the test, which fails
            self.failure = failure

    def transaction(self, session):
        draw = self.random
        statements = [self.statement() for _ in range(draw.choice((1, 1, 1, 2, 3, 10, 40)))]
        pause = draw.random() * 0.3 if draw.random() < 0.1 else 0
        commits = draw.random() < 0.85
        try:
            with session.cursor() as cursor:
                for number, statement in enumerate(statements):
                    cursor.execute(statement)
                    if number == 0 and pause:
                        self.stopped.wait(pause)
            if commits:
                session.commit()
                self.committed += 1
            else:
                session.rollback()
        except (psycopg2.IntegrityError, psycopg2.OperationalError):
            session.rollback()

    def text(self, toast=None):
        """An SQL expression; large ones are stored out of line."""
        number = self.random.randrange(10**6)
        large = self.random.random() < 0.3 if toast is None else toast
        return f"repeat(md5('{number}'), {90 if large else 2})"

    def statement(self):
        draw = self.random
        kind = draw.choices(
            ("insert", "update", "toast", "delete", "rekey", "savepoint", "journal", "many", "truncate"),
            (20, 30, 10, 10, 10, 8, 10, 2, 0.3),
        )[0]
        table = draw.choice(("accounts", "accounts", "pairs", "wide", "noted"))
        key, other = draw.randrange(1, 31000), draw.randrange(1, 31000)
        if table != "accounts":
            key, other = key % 3300, other % 3300
        value, body = draw.randrange(10**6), self.text()
        one = f"id = {key}" if table != "pairs" else f"a = {key}"
        column = {"accounts": f"n = {value}", "pairs": f"v = {value}.50", "noted": f"note = 'n{value}'"}
        column["wide"] = f"flag = NOT flag, document = jsonb_build_object('n', {value})"
        fill = {
            "accounts": f"({key}, {value}, 'new', {body})",
            "pairs": f"({value}.1, {key}, 'k{value % 7}', {body})",
            "wide": f"({key}, NULL, '{{\"a\": [1.50, null]}}', ARRAY[{body}, 'x'], now(), {body}::bytea)",
            "noted": f"({key}, NULL, {body})",
        }
        if kind == "insert":
            return f"INSERT INTO {table} VALUES {fill[table]} ON CONFLICT DO NOTHING"
        if kind == "update":
            return f"UPDATE {table} SET {column[table]} WHERE {one}"
        if kind == "toast":
            return f"UPDATE {table} SET {'raw' if table == 'wide' else 'body'} = {self.text(True)}" + (
                "::bytea" if table == "wide" else ""
            ) + f" WHERE {one}"
        if kind == "delete":
            return f"DELETE FROM {table} WHERE {one}"
        if kind == "rekey":
            change = f"id = {other}" if table != "pairs" else f"a = {other}, b = 'k{value % 7}'"
            unless = f"id = {other}" if table != "pairs" else f"a = {other}"
            return f"UPDATE {table} SET {change} WHERE {one} AND NOT EXISTS (SELECT FROM {table} WHERE {unless})"
        if kind == "savepoint":
            end = draw.choice(("RELEASE", "ROLLBACK TO"))
            return (
                f"SAVEPOINT s; UPDATE {table} SET {column[table]} WHERE {one}; DELETE FROM noted WHERE id = {other % 3300};"
                f"INSERT INTO journal VALUES ({value}, 'savepoint'); {end} s"
            )
        if kind == "many":
            return f"UPDATE accounts SET n = n + 1 WHERE id BETWEEN {key} AND {key + 300}"
        if kind == "truncate":
            return "TRUNCATE journal"
        return f"INSERT INTO journal VALUES ({value}, 'writer {self.number}')"


def seed_of_this_run():
    seed = os.environ.get("ETL_SEED") or str(random.SystemRandom().randrange(10**9))
    print(f"ETL_SEED={seed}")
    return seed


def write_and_kill(world, pipeline, seed, seconds=SECONDS, writers=WRITERS, disturber=None):
    """Fills the source and lets writers at it, while the pipeline runs and is killed KILLS times in about `seconds`. It is
    not running afterwards. `disturber` is a thread like Writer, at work meanwhile."""
    moments = random.Random(f"{seed} kills")
    world.sql(SCHEMA)
    threads = [Writer(world, seed, number) for number in range(writers)]
    everybody = threads + ([disturber] if disturber else [])
    for thread in everybody:
        thread.start()
    try:
        for pause in [moments.uniform(0.2, 1.8) * seconds / (KILLS + 1) for _ in range(KILLS)]:
            pipeline.start()
            time.sleep(pause)  # the moment of the kill is what is random
            pipeline.process.check_alive()
            pipeline.kill()
    finally:
        for thread in everybody:
            thread.stopped.set()
        for thread in everybody:
            thread.join()
    failures = [thread.failure for thread in threads if thread.failure]
    assert not failures, failures
    print(f"{sum(thread.committed for thread in threads)} transactions committed, {KILLS} kills")
