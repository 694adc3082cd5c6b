"""Tables, rows and changes drawn from a seed: every type, every kind of key, values in and out of line, and changes of
the tables themselves in between. ETL_SEED replays a run's statements."""

import io
import random
import struct

import psycopg2

OWN_TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'so so', 'it''s', 'größe');
CREATE DOMAIN posint AS int CHECK (value > 0);
CREATE DOMAIN small AS posint CHECK (value < 1000);
CREATE DOMAIN price AS numeric(10, 3);
CREATE TYPE pair AS (a int, "b c" text);
CREATE TYPE floatrange AS RANGE (subtype = double precision, subtype_diff = float8mi);
"""
# With no binary form, or one that holds OIDs, which differ between databases.
NOT_BINARY = ("pair", "pair[]", "mood[]", "isbn13", "seg")
EXTENSIONS = ("hstore", "citext", "ltree", "cube", "isn", "seg")

# Values in PostgreSQL's own spelling, the odd ones above all; a function draws more.
VALUES = {
    "boolean": ["true", "false"],
    "smallint": ["-32768", "32767", "0"],
    "integer": ["-2147483648", "2147483647", "0"],
    "bigint": ["-9223372036854775808", "9223372036854775807", lambda draw: str(draw.randrange(-(10**18), 10**18))],
    "real": ["NaN", "-Infinity", "1.17549435e-38", "1e-45", "0.1", "-0", "16777216"],
    "double precision": ["NaN", "Infinity", "5e-324", "1.7976931348623157e308", "-0", "0", lambda draw: repr(draw.gauss(0, 1e9))],
    "numeric": [
        "NaN", "Infinity", "-Infinity", "0", "0.00", "1.0", "1.00", "1e-20", "1e100", "9" * 2000,
        lambda draw: f"{draw.randrange(10**30)}.{draw.randrange(10**9)}{'0' * draw.randrange(4)}",
    ],
    "numeric(38,10)": ["NaN", "-1.1", "9999999999999999999999999999.9999999999"],
    "money": ["-12.34", "92233720368547758.07"],
    "text": ["", "NULL", "\\N", "tab\t line\n return\r quote\" back\\slash '", "größe 漢字 🙂", lambda draw: text(draw, 3000)],
    "varchar(40)": ["NULL", "  spaces  ", lambda draw: text(draw, 40)],
    "char(6)": ["ab", "", "  a"],
    '"char"': ["a", "\\"],
    "name": ["pg_class", "x" * 63],
    "bytea": ["\\x00ff5c27", "\\x", lambda draw: "\\x" + draw.randbytes(draw.choice((1, 30, 9000))).hex()],
    "date": ["infinity", "-infinity", "0044-03-15 BC", "4713-01-01 BC", "1500-02-28", "5874897-12-31"],
    "time": ["24:00:00", "00:00:00.000001"],
    "timetz": ["12:30:00.5+05:45", "24:00:00-15:59"],
    "timestamp": ["-infinity", "2026-02-28 23:59:59.999999", "4714-11-24 00:00:00 BC", "294276-12-31 23:59:59.999999"],
    "timestamptz": ["infinity", "2026-03-29 02:30:00+02", "0001-01-01 00:00:00+00 BC"],
    "interval": ["-1 year 2 mons -3 days 04:05:06.789", "0", "-178000000 years", "-1 mon 1 day", "00:00:00.000001"],
    "uuid": ["00000000-0000-0000-0000-000000000000", lambda draw: draw.randbytes(16).hex()],
    "json": ['{"b": 1,  "a": [1.10, null]}', "[\n1\t,2 ]", lambda draw: f'{{"n": {draw.randrange(10**40)}.50}}'],
    "jsonb": ['{"n": 1234567890123456789012345678901234567890.500}', '"text"', "-0.0", "{}", '[["\\\\"]]'],
    "xml": ["<a>b</a>", "text &amp; <b/>", ""],
    "inet": ["10.1.2.3/8", "::1", "0.0.0.0/0"],
    "cidr": ["10.0.0.0/8", "::/0"],
    "macaddr": ["08:00:2b:01:02:03"],
    "bit(5)": ["10101", "00000"],
    "varbit": ["", "1", "0" * 1000 + "1"],
    "point": ["(1.5,-2)", "(NaN,Infinity)", "(-0,1e-300)"],
    "box": ["(3,4),(1,2)"],
    "path": ["[(1,2),(3,4)]", "((1,2),(3,4))"],
    "circle": ["<(1,2),0.1>"],
    "tsvector": ["fat:2 cat:3A,5", "'it''s' 'a\\\\b':1", ""],
    "pg_lsn": ["16/B374D848", "FFFFFFFF/FFFFFFFF"],
    "xid8": ["18446744073709551615"],
    "int4range": ["[1,10)", "empty", "(,)"],
    "numrange": ["(1.10,2.00]", "[NaN,NaN]"],
    "tstzrange": ["[2026-03-29 02:30:00+02,)", "empty"],
    "datemultirange": ["{[2026-01-01,2026-02-01),[2027-01-01,)}", "{}"],
    "int[]": ["{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[0:1]={7,8}", "{NULL}"],
    "text[]": ['{NULL,"NULL",""," ","a\\"b","c,d","{","back\\\\slash",größe}', "{{a},{b}}"],
    "numeric(10,2)[]": ["{1.1,NaN,-0.00}", "{{{1}}}"],
    "bytea[]": ['{"\\\\x00ff",NULL,"\\\\x"}'],
    "interval[]": ['{"-1 mons +3 days",NULL}'],
    "jsonb[]": ['{"{\\"a\\": 1.10}","null",NULL}'],
    "box[]": ["{(3,4),(1,2);(5,6),(0,0)}"],
    "int4range[]": ['{"[1,3)",empty}'],
    "mood": ["sad", "so so", "it's", "größe"],
    "posint": ["1", "2147483647"],
    "small": ["999"],
    "price": ["1.1", "NaN"],
    "pair": ['(1,"a b")', "(,)", '(,"")', '(2,"quote"" comma, (paren) back\\\\slash")'],
    "floatrange": ["[0.1,1e300)", "(-Infinity,NaN]"],
    "mood[]": ['{"so so",NULL,"it\'s"}', "[3:3]={sad}"],
    "pair[]": ['{"(1,\\"a b\\")",NULL,"(,)"}'],
    "hstore": ['"a"=>NULL, "b"=>"NULL", ""=>"", "q\\"uote"=>"=> , \\\\"', ""],
    "citext": ["MiXed Größe", "mixed größe", ""],
    "ltree": ["Top.Science.Astronomy", ""],
    "cube": ["(1, 2),(0.1, -3)", "(5)"],
    "isbn13": ["978-0-11-000533-1"],
    "seg": ["6.25e2 .. 6.50e3", "~1.0", "<2"],
}
# Types for a key, each with many values, some of which are equal in different spellings.
KEYS = {
    "integer": lambda draw: str(draw.randrange(4000)),
    "bigint": lambda draw: str(draw.randrange(4000) * 10**15),
    "numeric": lambda draw: draw.choice((f"{draw.randrange(3000)}", f"{draw.randrange(3000)}.00", "NaN")),
    "text": lambda draw: draw.choice(("", "k'\\", "größe")) + str(draw.randrange(3000)),
    "char(6)": lambda draw: str(draw.randrange(3000)),
    "uuid": lambda draw: f"{draw.randrange(3000):032x}",
    "timestamptz": lambda draw: f"2026-01-01 00:00:00.{draw.randrange(3000):06d}+00",
    "double precision": lambda draw: draw.choice(("-0", "0", "NaN", str(draw.randrange(3000) / 7))),
    "bytea": lambda draw: f"\\x{draw.randrange(3000):04x}",
    "mood": lambda draw: draw.choice(VALUES["mood"]),
    "date": lambda draw: draw.choice(("infinity", "0044-03-15 BC", f"2026-01-{draw.randrange(1, 29)}")),
    "inet": lambda draw: f"10.0.0.{draw.randrange(200)}",
    "int4range": lambda draw: f"[{draw.randrange(3000)},)",
    "citext": lambda draw: draw.choice(("Aa", "aA", "ä")) + str(draw.randrange(200)),
}
FEW = ("mood", "date", "inet", "double precision")  # too few values for a key of their own


def text(draw, longest):
    """A short one mostly; else up to so many letters that hardly compress."""
    length = draw.choice((3, 10, longest))
    return "".join(draw.choices("abcdefgh ijklmnopqrstuvwxyzäöü漢🙂'\"\\%\n", k=length))


def literal(value):
    return "'" + value.replace("'", "''") + "'"


def identifier(name):
    return '"' + name.replace('"', '""') + '"'


def make_types(run_at_source, run_at_destination):
    """Types of one's own and of those extensions that the server has. Returns the names of all types to draw from."""
    there = [name for name, in run_at_source("SELECT name FROM pg_available_extensions")]
    missing = {name for name in EXTENSIONS if name not in there}
    for run in (run_at_source, run_at_destination):
        for name in EXTENSIONS:
            if name not in missing:
                run(f"CREATE EXTENSION IF NOT EXISTS {name}")
    run_at_source(OWN_TYPES)  # the program makes them at the destination
    absent = missing | ({"isbn13"} if "isn" in missing else set())
    return [kind for kind in VALUES if kind not in absent]


class Table:
    """What stays the same of a drawn table: its name, its key, and whether its rows may be changed."""

    ODD = ("t", "Größe", "a.b", 'q"q', "select", "UPPER")

    def __init__(self, draw, number, types):
        self.name = identifier(f"{draw.choice(self.ODD)} {number}")
        self.number = number
        self.identity = draw.choice(("primary", "primary", "index", "full", "nothing", "none"))
        self.changes = self.identity not in ("nothing", "none")  # else only inserts are published
        kinds = [kind for kind in KEYS if kind in types]
        self.key = [] if self.identity == "none" else [(f"k{n}", draw.choice(kinds)) for n in range(draw.choice((1, 1, 2, 3)))]
        if self.key and all(kind in FEW for _, kind in self.key):
            self.key.append(("k9", "bigint"))
        others = [(f"c{n}", draw.choice(types)) for n in range(draw.randrange(0, 9))]
        self.columns = self.key + others
        draw.shuffle(self.columns)
        if not self.columns:
            self.columns = [("c0", "text")]
        self.added = 0

    def create(self, draw):
        """The statements that make it."""
        keys = [name for name, _ in self.key]
        listed = ", ".join(
            f"{identifier(name)} {kind}" + (" NOT NULL" if name in keys else "") for name, kind in self.columns
        )
        key = ", ".join(identifier(name) for name in draw.sample(keys, len(keys)))  # not in the columns' order
        primary = f", PRIMARY KEY ({key})" if self.identity in ("primary", "full", "nothing") else ""
        yield f"CREATE TABLE {self.name} ({listed}{primary})"
        for name, kind in self.columns:
            if kind in ("text", "bytea", "numeric", "json", "jsonb") and name not in keys and draw.random() < 0.7:
                yield f"ALTER TABLE {self.name} ALTER {identifier(name)} SET STORAGE EXTERNAL"
        if self.identity == "index":
            index = identifier(f"key of {self.number}")
            yield f"CREATE UNIQUE INDEX {index} ON {self.name} ({key})"
            yield f"ALTER TABLE {self.name} REPLICA IDENTITY USING INDEX {index}"
        elif self.identity in ("full", "nothing"):
            yield f"ALTER TABLE {self.name} REPLICA IDENTITY {self.identity.upper()}"

    def value(self, draw, name, kind):
        if (name, kind) in self.key:
            return literal(KEYS[kind](draw)) + f"::{kind}"
        if draw.random() < 0.15:
            return "NULL"
        drawn = draw.choice(VALUES[kind])
        return literal(drawn if isinstance(drawn, str) else drawn(draw)) + f"::{kind}"

    def statement(self, draw, columns, types):
        """One statement, for a table that has these (name, type) columns by now."""
        kind = draw.choices(
            ("insert", "update", "delete", "rekey", "many", "truncate", "add", "drop"), (30, 35, 10, 10, 3, 0.5, 1.5, 1)
        )[0]
        keys = {name for name, _ in self.key}
        free = [column for column in columns if column[0] not in keys]
        if kind == "add":
            self.added += 1
            return f"ALTER TABLE {self.name} ADD COLUMN {identifier(f'added {self.added}')} {draw.choice(types)}"
        if kind == "drop" and len(free) > 1:
            return f"ALTER TABLE {self.name} DROP COLUMN {identifier(draw.choice(free)[0])}"
        if kind == "truncate":
            return f"TRUNCATE {self.name}"
        if kind in ("insert", "drop") or not self.changes:
            return self.insert(draw, columns, draw.choice((1, 1, 3, 20)))
        few = f"hashtext(ctid::text) % {draw.choice((7, 40, 200))} = {draw.randrange(7)}"
        where = f"WHERE ctid IN (SELECT ctid FROM {self.name} WHERE {few})"
        if kind == "delete":
            return f"DELETE FROM {self.name} {where}"
        if kind == "rekey":
            one = f"WHERE ctid = (SELECT ctid FROM {self.name} WHERE {few} LIMIT 1)"
            changed = draw.sample(self.key, draw.randrange(1, len(self.key) + 1))
            return self.update(draw, changed + draw.sample(free, min(len(free), draw.choice((0, 0, 1)))), one)
        if not free:
            return self.insert(draw, columns, 1)
        changed = draw.sample(free, draw.randrange(1, min(len(free), 3) + 1))
        return self.update(draw, changed, where if kind == "update" else "")

    def insert(self, draw, columns, rows):
        names = ", ".join(identifier(name) for name, _ in columns)
        values = ", ".join(
            "(" + ", ".join(self.value(draw, name, kind) for name, kind in columns) + ")" for _ in range(rows)
        )
        return f"INSERT INTO {self.name} ({names}) VALUES {values} ON CONFLICT DO NOTHING"

    def update(self, draw, columns, where):
        changes = ", ".join(f"{identifier(name)} = {self.value(draw, name, kind)}" for name, kind in columns)
        return f"UPDATE {self.name} SET {changes} {where}"


COLUMNS = """SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
# Conflicts, and what the statements of the other session made impossible: the transaction is rolled back.
EXPECTED = (psycopg2.IntegrityError, psycopg2.errors.LockNotAvailable, psycopg2.errors.UndefinedColumn)


class Generator:
    """Two sessions whose transactions interleave, driven by one thread, so that a seed gives the same statements."""

    def __init__(self, seed, connect, types, tables=8):
        self.draw = random.Random(f"{seed} generator")
        self.types = types
        self.tables = [Table(self.draw, number, types) for number in range(tables)]
        self.sessions = [connect() for _ in range(2)]
        self.left = [0, 0]  # statements until the end of each session's transaction
        self.committed = 0
        self.spelled = {}  # the catalog's names of types, by ours

    def create(self):
        session = self.sessions[0]
        with session.cursor() as cursor:
            for kind in self.types:
                cursor.execute("SELECT format_type(%s::regtype, NULL)", (kind,))
                self.spelled[cursor.fetchone()[0]] = kind
            for table in self.tables:
                for statement in table.create(self.draw):
                    cursor.execute(statement)
                for _ in range(self.draw.choice((0, 1, 10))):
                    cursor.execute(table.insert(self.draw, table.columns, 30))
        session.commit()
        for session in self.sessions:
            with session.cursor() as cursor:
                cursor.execute("SET lock_timeout = '20ms'")
            session.commit()

    def columns(self, cursor, table):
        """As this session sees them, with types as VALUES spells them."""
        cursor.execute(COLUMNS, (table.name,))
        ours = dict(table.columns)
        found = []
        for name, kind in cursor.fetchall():
            known = ours.get(name) or self.spelled.get(kind) or kind
            found.append((name, known if known in VALUES or known in KEYS else self.spelled[kind.split("(")[0]]))
        return found

    def step(self):
        """One statement in one of the sessions; perhaps the end of its transaction."""
        which = self.draw.randrange(2)
        session = self.sessions[which]
        if self.left[which] == 0:
            self.left[which] = self.draw.choice((1, 1, 2, 5, 20))
        table = self.draw.choice(self.tables)
        try:
            with session.cursor() as cursor:
                cursor.execute("SAVEPOINT s") if self.draw.random() < 0.1 else None
                cursor.execute(table.statement(self.draw, self.columns(cursor, table), self.types))
            self.left[which] -= 1
            if self.left[which] > 0:
                return
            if self.draw.random() < 0.9:
                session.commit()
                self.committed += 1
                return
        except EXPECTED:
            pass
        session.rollback()
        self.left[which] = 0

    def finish(self):
        """Ends what is open. A last row of each table tells of its last change."""
        for session in self.sessions:
            session.commit()
        with self.sessions[0].cursor() as cursor:
            for table in self.tables:
                for _ in range(100):
                    cursor.execute(table.insert(self.draw, self.columns(cursor, table), 10))
                    if cursor.rowcount:
                        break
                else:
                    raise AssertionError(f"{table.name} has no room for another row")
        self.sessions[0].commit()
        for session in self.sessions:
            session.close()


def binary_rows(connect, table, columns):
    """The rows as the types' send functions write them, sorted."""
    out = io.BytesIO()
    session = connect()
    with session.cursor() as cursor:
        cursor.copy_expert(f"COPY (SELECT {', '.join(columns)} FROM {table}) TO STDOUT (FORMAT binary)", out)
    session.close()
    data = out.getvalue()
    at, rows = 19, []
    while (count := struct.unpack_from("!h", data, at)[0]) >= 0:
        first, at = at, at + 2
        for _ in range(count):
            at += 4 + max(struct.unpack_from("!i", data, at)[0], 0)
        rows.append(data[first:at])
    return sorted(rows)
