"""Values of every type arrive as they are: by copy and by stream, as text and in binary, in columns and as keys."""

import contextlib
import decimal
import io
import re

import pytest

from support import files
from support.postgres import VERSION

# Types of one's own, which the program makes at a PostgreSQL destination. Two enums of one name, domains over domains
# and over arrays, whose checks rows in transit may break; a composite and a range of such.
OWN_TYPES = """
CREATE SCHEMA other; CREATE SCHEMA "Odd schema";
CREATE TYPE mood AS ENUM ('sad', 'so so', 'it''s', E'back\\\\slash', 'größe');
CREATE TYPE other.mood AS ENUM ('loud', 'sad', 'quiet');
CREATE TYPE "Odd schema"."Odd, type" AS ENUM ('a', 'A');
CREATE DOMAIN posint AS int CHECK (value > 0);
CREATE DOMAIN other.posint AS posint NOT NULL DEFAULT 7 CHECK (value < 1000);
CREATE DOMAIN price AS numeric(10, 3);
CREATE DOMAIN moods AS mood[] CHECK (cardinality(value) < 5);
CREATE TYPE pair AS (a int, "b c" text);
CREATE TYPE nested AS (one pair, many pair[], how mood, cost price, at timestamptz);
CREATE TYPE floatrange AS RANGE (subtype = double precision, subtype_diff = float8mi);
CREATE TYPE other.words AS RANGE (subtype = text, collation = "C", multirange_type_name = other.many_words);
CREATE TYPE moodrange AS RANGE (subtype = mood);
"""

EXTENSIONS = ["hstore", "citext", "ltree", "cube", "isn", "seg", "intarray"]

# In PostgreSQL's own spelling of literals.
BUILT_IN = {
    "boolean": ["true", "false"],
    "smallint": ["-32768", "32767"],
    "integer": ["-2147483648", "2147483647"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "real": ["NaN", "-Infinity", "Infinity", "1.17549435e-38", "1e-45", "3.4028235e+38", "0.1", "-0", "16777216"],
    "double precision": ["NaN", "Infinity", "-Infinity", "5e-324", "1.7976931348623157e+308", "0.1", "-0", "1e22"],
    "numeric": [
        "NaN", "Infinity", "-Infinity", "0", "0.00", "-0.00", "1.10", "1e-20", "1e100", "-123456789012345678901234567890.500",
        "9" * 131_072, "0." + "0" * 16_382 + "1",
    ],
    "numeric(38,10)": ["NaN", "-1.1", "9999999999999999999999999999.9999999999"],
    **({} if VERSION == "14" else {"numeric(3,-2)": ["12345", "-99900"], "numeric(3,5)": ["0.00123", "-0.00999"]}),
    "numeric(1000,500)": ["1." + "7" * 500],
    "money": ["-12.34", "92233720368547758.07", "-92233720368547758.08", "1000"],
    "text": ["", "NULL", "\\N", "tab\t line\n return\r quote\" back\\slash '", "größe 漢字 🙂 \u0301\u2028\u0001", "x" * 10_000_000],
    "varchar(20)": ["NULL", "  spaces  ", ""],
    "char(6)": ["ab", "", "  a"],
    "\"char\"": ["a", "", "\\"],
    "name": ["pg_class", "", "x" * 63],
    "bytea": ["\\x00ff5c27", "\\x", "\\x" + "00" * 100_000],
    "date": ["infinity", "-infinity", "0044-03-15 BC", "4713-01-01 BC", "1500-02-28", "5874897-12-31"],
    "time": ["24:00:00", "00:00:00.000001", "00:00:00"],
    "time(3)": ["12:30:00.5"],
    "timetz": ["12:30:00.5+05:45", "24:00:00-15:59", "00:00:00+15:59:59"],
    "timestamp": ["-infinity", "infinity", "2026-02-28 23:59:59.999999", "4714-11-24 00:00:00 BC", "294276-12-31 23:59:59.999999"],
    "timestamptz": ["-infinity", "infinity", "2026-03-29 02:30:00+02", "0001-01-01 00:00:00+00 BC", "294276-12-31 23:59:59.9+00"],
    "interval": [
        "-1 year 2 mons -3 days 04:05:06.789", "1 year -2 mons 3 days -04:05:06", "0", "-178000000 years", "-1 mon 1 day",
        "00:00:00.000001", *(() if VERSION == "14" else ("2147483647 days -2562047788:00:54.775807",)),
    ],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"],
    "json": ['{"b": 1,  "a": [1.10, null], "a": "\\u00e9\\/"}', "  null ", "1e400", '"\\ud83d\\ude42"', "[\n1\t,2 ]"],
    "jsonb": ['{"n": 1234567890123456789012345678901234567890.500}', '"text"', "null", "-0.0", "1e-30", "{}", '[["\\\\"]]'],
    "jsonpath": ['$."a b"[*] ? (@ > 1.50)', "strict $"],
    "xml": ["<a>b</a>", "text & <b/>".replace("&", "&amp;"), '<?xml version="1.0" encoding="UTF-8"?><ä/>', "<!DOCTYPE a><a/>", ""],
    "inet": ["10.1.2.3/8", "::1", "fe80::1/10", "0.0.0.0/0"],
    "cidr": ["10.0.0.0/8", "::/0"],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "bit(5)": ["10101", "00000"],
    "varbit": ["", "1", "0" * 1000 + "1"],
    "point": ["(1.5,-2)", "(NaN,Infinity)", "(-0,1e-300)"],
    "line": ["{1,-1,0.1}"],
    "lseg": ["[(1,2),(3,4.5)]"],
    "box": ["(3,4),(1,2)"],
    "path": ["[(1,2),(3,4)]", "((1,2),(3,4))"],
    "polygon": ["((1,2),(3,4),(5,0.1))"],
    "circle": ["<(1,2),0.1>"],
    "tsvector": ["fat:2 cat:3A,5", "'it''s' 'a\\\\b':1", ""],
    "tsquery": ["'fat' & !( 'rat':AB | 'cat':* ) <2> 'it''s'", ""],
    "pg_lsn": ["16/B374D848", "FFFFFFFF/FFFFFFFF", "0/0"],
    "xid8": ["18446744073709551615"],
    "pg_snapshot": ["10:20:10,14,15", "1:1:"],
    "txid_snapshot": ["10:20:10,14,15"],
    "oid": ["4294967295", "0"],
    "xid": ["4294967295"],
    "cid": ["1"],
    "tid": ["(4294967295,65535)"],
    "oidvector": ["1 2 4294967295", ""],
    "int2vector": ["-1 2", ""],
    "regclass": ["pg_catalog.pg_class", "4294967295", "-"],
    "regtype": ["timestamp with time zone", "integer[]", "character varying"],
    "regproc": ["pg_catalog.now"],
    "regprocedure": ["pg_catalog.abs(numeric)"],
    "regoper": ["pg_catalog.||/"],
    "regoperator": ["+(integer,integer)"],
    "regnamespace": ["pg_catalog", "public"],
    "regrole": ["postgres"],
    "regconfig": ["english"],
    "regdictionary": ["simple"],
    "regcollation": ["\"C\""],
    "refcursor": ["my cursor"],
    "aclitem": ["postgres=arwdDxt/postgres", "=r/postgres"],
    "int4range": ["[1,10)", "empty", "(,)", "[-2147483648,5)"],
    "int8range": ["(,9223372036854775807)"],
    "numrange": ["(1.10,2.00]", "[NaN,NaN]", "[-Infinity,1)"],
    "daterange": ["[0044-03-15 BC,infinity]", "[2026-01-01,)"],
    "tsrange": ['("2026-01-01 00:00:00","24-01-01 BC"]'.replace("24-01-01 BC", "infinity"), "[-infinity,2000-01-01)"],
    "tstzrange": ["[2026-03-29 02:30:00+02,)", "empty"],
    "int4multirange": ["{}", "{[1,3),[5,8)}"],
    "nummultirange": ["{(1.10,2.00]}"],
    "datemultirange": ["{[2026-01-01,2026-02-01),[2027-01-01,)}"],
    "tstzmultirange": ["{[2026-01-01 00:00+00,infinity]}"],
    "int[]": ["{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[0:1]={7,8}", "[-5:-4][2:3]={{1,2},{3,NULL}}", "{NULL}"],
    "text[]": ['{NULL,"NULL",""," ","a\\"b","c,d","{","back\\\\slash",größe}', "{{a},{b}}", "{}"],
    "numeric(10,2)[]": ["{1.1,NaN,-0.00}", "{{{1}}}"],
    "float8[]": ["{NaN,-0,0.1,Infinity}"],
    "bytea[]": ['{"\\\\x00ff",NULL,"\\\\x"}'],
    "bool[]": ["{t,f,NULL}"],
    "date[]": ["{infinity,0044-03-15 BC}"],
    "timestamptz[]": ['{"0001-01-01 00:00:00+00 BC",-infinity}'],
    "interval[]": ['{"-1 mons +3 days",NULL}'],
    "json[]": ['{"{\\"a\\": 1}","null",NULL}'],
    "jsonb[]": ['{"{\\"a\\": 1.10}","null",NULL}'],
    "uuid[]": ["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"],
    "char(3)[]": ["{a,bcd,NULL}"],
    "point[]": ['{"(1,2)","(3,4)"}'],
    "box[]": ["{(3,4),(1,2);(5,6),(0,0)}"],
    "int4range[]": ['{"[1,3)",empty}'],
    "bit(3)[]": ["{101,000}"],
    "varbit[]": ['{101,""}'],
    "money[]": ["{-1.5,1000}"],
    "xml[]": ["{<a/>}"],
    "tsvector[]": ["{\"'a':1\"}"],
    "inet[]": ["{10.0.0.1,::1}"],
    "regclass[]": ["{pg_catalog.pg_class}"],
}

OWN = {
    "mood": ["sad", "it's", "back\\slash", "größe"],
    "other.mood": ["sad", "quiet"],
    '"Odd schema"."Odd, type"': ["a", "A"],
    "posint": ["1"],
    "price": ["1.1", "NaN"],
    "moods": ["{}", '{sad,NULL,"so so"}'],
    "pair": ['(1,"a b")', "(,)", '(,"")', '(2,"quote"" comma, (paren) back\\\\slash")'],
    "nested": ['("(1,x)","{""(2,y)"",NULL,""(,)""}",sad,1.100,"2026-01-01 00:00:00+00")', "(,,,,)"],
    "floatrange": ["[0.1,1e300)", "(-Infinity,NaN]"],
    "other.words": ['[a,"b c")', '["",a]'],
    "moodrange": ["[sad,\"it's\"]"],
    "mood[]": ['{"so so",NULL,"it\'s"}', "[3:3]={sad}"],
    "other.mood[]": ["{{loud},{quiet}}"],
    "other.posint[]": ["{1,999}"],
    "pair[]": ['{"(1,\\"a b\\")",NULL,"(,)"}'],
    "floatmultirange": ["{[0.1,0.2),[1,2)}"],
    "other.many_words": ["{[a,b)}"],
    "hstore": ['"a"=>NULL, "b"=>"NULL", ""=>"", "q\\"uote"=>"=> , \\\\"', ""],
    "hstore[]": ['{"\\"a\\"=>NULL",NULL}'],
    "citext": ["MiXed Größe", ""],
    "citext[]": ["{Ab,NULL}"],
    "ltree": ["Top.Science.Astronomy", ""],
    "lquery": ["*.sci*{1,2}.!a|b@"],
    "ltxtquery": ["Europe & Russia*@ & !Transportation"],
    "cube": ["(1, 2),(0.1, -3)", "(5)"],
    "isbn13": ["978-0-11-000533-1"],
    "issn": ["1436-4522"],
    "seg": ["6.25e2 .. 6.50e3", "~1.0", "<2", "1.10"],
    "query_int": ["1&(2|!3)"],
}

# Their binary form holds OIDs, which differ between databases.
REGISTERED = {kind for kind in BUILT_IN if kind.startswith("reg")}
HOLD_OIDS = REGISTERED | {kind for kind in OWN if kind.endswith("[]")} | {"moods", "nested"}
# Built-in ones whose binary form is of one server, or of one major version; or whose empty value PostgreSQL
# cannot read back.
ONLY_TEXT = REGISTERED | set("tid xid cid refcursor aclitem txid_snapshot tsquery int2vector oidvector".split())
# Without equality, or only with one that a unique index cannot use.
NO_KEYS = """json jsonpath xml point line lseg box path polygon circle pg_snapshot txid_snapshot xid cid refcursor aclitem
    lquery ltxtquery query_int json[] xml[] point[] box[]""".split()
LONGEST_KEY = 2000


# What administrators may have set, each of which changes the texts of values.
SETTINGS = {
    "DateStyle": "SQL, DMY", "IntervalStyle": "sql_standard", "TimeZone": "Asia/Kolkata", "extra_float_digits": "0",
    "bytea_output": "escape", "search_path": "other", "array_nulls": "off", "xmloption": "document",
    "quote_all_identifiers": "on", "standard_conforming_strings": "off",
}


def names_of(types):
    return {kind: f"c{number}" for number, kind in enumerate(types)}


def insert_all(world, types):
    for kind, name in names_of(types).items():
        for value in types[kind]:
            world.sql(f"INSERT INTO t ({name}) VALUES (%s)", value)


def key_tables(types):
    return {kind: f"k{number}" for number, kind in enumerate(types) if kind not in NO_KEYS}


def create(world, types):
    columns = ", ".join(f"{name} {kind}" for kind, name in names_of(types).items())
    world.sql(f"CREATE TABLE t (id serial PRIMARY KEY, {columns})")
    for kind, name in key_tables(types).items():
        world.sql(f"CREATE TABLE {name} (k {kind} PRIMARY KEY, n int, body text); ALTER TABLE {name} ALTER body SET STORAGE EXTERNAL")


def insert_keys(world, types, which):
    for kind, name in key_tables(types).items():
        for value in types[kind][which]:
            if len(value) < LONGEST_KEY:
                world.sql(f"INSERT INTO {name} VALUES (%s, 0, repeat('long ', 1000)) ON CONFLICT DO NOTHING", value)


def binary_rows(world, database, types):
    """The table as the types' send functions write it."""
    columns = [name for kind, name in names_of(types).items() if kind not in HOLD_OIDS]
    sent = world.cluster.sql(
        database,
        "SELECT attname FROM pg_attribute JOIN pg_type t ON t.oid = atttypid"
        " WHERE attrelid = 'public.t'::regclass AND attname = ANY(%s) AND typsend <> 0 ORDER BY attnum",
        columns,
    )
    assert len(sent) > 70
    session, out = world.cluster.connect(database), io.BytesIO()
    with contextlib.closing(session), session.cursor() as cursor:
        listed = ", ".join(name for name, in sent)
        cursor.copy_expert(f"COPY (SELECT id, {listed} FROM public.t ORDER BY id) TO STDOUT (FORMAT binary)", out)
    return out.getvalue()


@pytest.mark.parametrize("to", ["postgres, as text", "postgres, in binary", "file"])
def test_case_16_values_of_every_type(world, to):
    types = {**BUILT_IN, **OWN}
    if to == "postgres, in binary":
        types = {kind: values for kind, values in BUILT_IN.items() if kind not in ONLY_TEXT}
        types.update({kind: OWN[kind] for kind in ("mood", "other.mood", "posint", "price")})
    for extension in EXTENSIONS:
        world.sql(f"CREATE EXTENSION {extension}")
        world.there(f"CREATE EXTENSION {extension}")
    world.sql(OWN_TYPES)
    create(world, types)
    insert_all(world, types)
    insert_keys(world, types, slice(0, 1))
    pipeline = world.pipeline(
        "file" if to == "file" else "postgres", source={"binary": "on" if to == "postgres, in binary" else "auto"}
    )
    for database in (world.source, world.destination):
        for setting, value in SETTINGS.items():  # for sessions to come: not for those that this test has opened
            world.sql(f"ALTER DATABASE {database} SET {setting} = {value!r}")
    world.make_slot(pipeline)
    tables = ["t", *key_tables(types).values()]
    for table in tables[1:]:
        world.sql(f"UPDATE {table} SET n = 1")  # does not send body, and comes before the row is copied: it is read by its key
    assert pipeline.once() == 0
    pipeline.assert_equal(*tables)
    pipeline.start()
    insert_all(world, types)
    insert_keys(world, types, slice(1, None))
    world.sql("UPDATE t SET id = -id WHERE id % 3 = 0; UPDATE t SET c0 = NOT c0; DELETE FROM t WHERE id % 5 = 0")
    for table in tables[1:]:
        world.sql(f"UPDATE {table} SET n = 2; DELETE FROM {table} WHERE ctid = (SELECT min(ctid) FROM {table})")
    pipeline.wait_confirmed()
    pipeline.assert_equal(*tables)
    if to != "file":
        ours, theirs = (binary_rows(world, database, types) for database in (world.source, world.destination))
        assert ours == theirs
    pipeline.stop()


def comparable(value):
    """Numbers by their value; the rest as it is."""
    if isinstance(value, files.Number):
        return decimal.Decimal(value)
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, dict):
        return {name: comparable(item) for name, item in value.items()}
    return value


def in_our_spelling(kind, value):
    """Of what to_jsonb made: timestamps have no T, and oid is a number like all others."""
    if kind.startswith("timestamp") and value is not None:
        return re.sub(r"(\d)T(\d)", r"\1 \2", value).replace("+00:00", "+00")
    return files.Number(value) if kind == "oid" and value is not None else value


def test_file_writes_what_to_jsonb_makes(world):
    """Where both are exact: jsonb has neither bounds of arrays nor types of fields, so these are PostgreSQL's own text."""
    for extension in EXTENSIONS:
        world.sql(f"CREATE EXTENSION {extension}")
    world.sql(OWN_TYPES)
    types = {**BUILT_IN, **OWN}
    columns = ", ".join(f"{name} {kind}" for kind, name in names_of(types).items())
    world.sql(f"CREATE TABLE t (id serial PRIMARY KEY, {columns})")
    insert_all(world, types)
    pipeline = world.pipeline("file")
    assert pipeline.once() == 0
    with contextlib.closing(world.session()) as session, session.cursor() as cursor:
        cursor.execute("SET search_path = ''; SELECT to_jsonb(t)::text FROM public.t ORDER BY id")
        wanted = [files.parse(text) for text, in cursor.fetchall()]
    written = sorted(files.history(pipeline.to, "t"), key=lambda row: int(row["id"]))
    own_text = set()
    for ours, theirs in zip(written, wanted, strict=True):
        for kind, name in names_of(types).items():
            if isinstance(ours[name], str) and isinstance(theirs[name], (list, dict)):
                own_text.add(kind)
            else:
                assert comparable(ours[name]) == comparable(in_our_spelling(kind, theirs[name])), kind
    assert own_text == {"pair", "nested", "moods", "hstore", "int2vector", "oidvector", *(k for k in types if k.endswith("[]"))}


LABELS = "SELECT enumlabel FROM pg_enum WHERE enumtypid = %s::regtype ORDER BY enumsortorder"


@pytest.mark.parametrize("binary", ["on", "off"])
def test_case_15_labels_added_to_an_enum_while_it_runs(world, binary):
    """Also inside a transaction that the destination has begun, and in a type that columns are made of indirectly."""
    world.sql(
        "CREATE SCHEMA other; CREATE TYPE mood AS ENUM ('b', 'd'); CREATE TYPE other.mood AS ENUM ('b');"
        "CREATE TABLE t (id int PRIMARY KEY, m mood, o other.mood); INSERT INTO t VALUES (1, 'b', 'b');"
        "CREATE TABLE by_mood (m mood PRIMARY KEY, n int); INSERT INTO by_mood VALUES ('b', 1)"
    )
    if binary == "off":
        world.sql(
            "CREATE DOMAIN my_mood AS mood; CREATE TYPE moods AS (one my_mood, many mood[]);"
            "ALTER TABLE t ADD d my_mood[], ADD c moods[]"
        )
    pipeline = world.pipeline(source={"binary": binary}, batch={"max_rows": 2})
    pipeline.start()
    pipeline.wait_equal("t", "by_mood")
    world.sql("ALTER TYPE mood ADD VALUE 'a' BEFORE 'b'")
    world.sql("ALTER TYPE mood ADD VALUE 'c' AFTER 'b'")
    world.sql("ALTER TYPE other.mood ADD VALUE E'it''s \\\\ new'")
    world.sql(
        "BEGIN; INSERT INTO t SELECT n, 'b', 'b' FROM generate_series(2, 6) n; INSERT INTO by_mood VALUES ('c', 0);"
        "INSERT INTO t VALUES (7, 'a', 'b'); INSERT INTO t VALUES (8, 'c', E'it''s \\\\ new'); COMMIT"
    )
    world.sql("UPDATE t SET m = 'c' WHERE id = 1; UPDATE by_mood SET m = 'a' WHERE m = 'c'")
    if binary == "off":
        world.sql("ALTER TYPE mood ADD VALUE 'e'")
        world.sql("UPDATE t SET d = '{a,e}', c = ARRAY[ROW('a', '{e}')::moods] WHERE id = 2")
    pipeline.wait_equal("t", "by_mood")
    pipeline.stop()
    world.sql("ALTER TYPE mood ADD VALUE 'f' AFTER 'd'")
    world.sql("INSERT INTO t VALUES (20, 'f', 'b')")
    pipeline.start()
    pipeline.wait_equal("t", "by_mood")
    pipeline.stop()
    for enum in ("mood", "other.mood"):
        assert world.there(LABELS, enum) == world.sql(LABELS, enum)


def test_a_renamed_label_is_told_with_the_sql_that_mends_it(world):
    world.sql(
        "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE t (id int PRIMARY KEY, m mood); CREATE TABLE u (id int PRIMARY KEY);"
        "INSERT INTO t VALUES (1, 'a'), (2, 'b')"
    )
    pipeline = world.pipeline()
    pipeline.start()
    pipeline.wait_equal("t", "u")
    world.sql("ALTER TYPE mood RENAME VALUE 'b' TO 'new'; INSERT INTO t VALUES (3, 'new'); INSERT INTO u VALUES (1)")
    pipeline.wait_equal("u")
    pipeline.wait_until(lambda: "destination.enum_label" in pipeline.process.text(), "the error")
    pipeline.stop()
    text = pipeline.process.text()
    assert "run at the destination: ALTER TYPE public.mood RENAME VALUE 'b' TO 'new';" in text
    world.there("ALTER TYPE public.mood RENAME VALUE 'b' TO 'new'")
    pipeline.start()
    pipeline.wait_equal("t", "u")
    pipeline.stop()


def test_a_type_that_changes_under_rows_that_are_there(world):
    """No row says so: the source is asked, every ten seconds. Labels that are only added stop nothing."""
    world.sql(
        "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TYPE pair AS (a int); CREATE TABLE t (id int PRIMARY KEY, m mood);"
        "CREATE TABLE c (id int PRIMARY KEY, p pair[]); CREATE TYPE other_mood AS ENUM ('x', 'y');"
        "CREATE TABLE u (id int PRIMARY KEY, m other_mood);"
        "INSERT INTO t VALUES (1, 'b'); INSERT INTO c VALUES (1, ARRAY[ROW(1)::pair]); INSERT INTO u VALUES (1, 'y')"
    )
    pipeline = world.pipeline("file")
    assert pipeline.once() == 0
    pipeline.start()
    pipeline.wait_streaming()
    world.sql("ALTER TYPE other_mood ADD VALUE 'w' BEFORE 'x'; ALTER TYPE other_mood ADD VALUE 'z'")
    world.sql("ALTER TYPE mood RENAME VALUE 'b' TO 'new'; ALTER TYPE pair ADD ATTRIBUTE b text")
    pipeline.wait_until(lambda: pipeline.process.text().count("source.type_changed") == 2, "two tables are stopped")
    world.sql("INSERT INTO u VALUES (2, 'w')")
    pipeline.wait_equal("u")
    pipeline.stop()
    assert pipeline.process.text().count("source.type_changed") == 2
    pipeline.start()
    pipeline.wait_equal("t", "c", "u")
    pipeline.stop()


def test_a_type_that_only_a_user_can_bring(world):
    world.sql(
        'CREATE SCHEMA "Add-ons"; CREATE EXTENSION hstore SCHEMA "Add-ons"; CREATE TYPE tagged AS (id int, tags "Add-ons".hstore);'
        "CREATE TABLE t (id int PRIMARY KEY, v tagged[]); CREATE TABLE u (id int PRIMARY KEY);"
        "INSERT INTO t VALUES (1, ARRAY[(1, 'a=>1')::tagged]); INSERT INTO u VALUES (1)"
    )
    pipeline = world.pipeline()
    pipeline.start()
    pipeline.wait_equal("u")
    pipeline.stop()
    text = pipeline.process.text()
    assert "destination.type_missing" in text
    assert r'CREATE EXTENSION \"hstore\" WITH SCHEMA \"Add-ons\";' in text
    world.there('CREATE SCHEMA "Add-ons"; CREATE EXTENSION "hstore" WITH SCHEMA "Add-ons"')
    pipeline.start()
    pipeline.wait_equal("t", "u")
    pipeline.stop()


def test_columns_of_another_tables_row_type(world):
    world.sql(
        "CREATE TABLE z (id int PRIMARY KEY, body text); INSERT INTO z VALUES (1, 'x, \\ \"y\"');"
        "CREATE TABLE a (id int PRIMARY KEY, one z, many z[]); INSERT INTO a SELECT 1, z, ARRAY[z, NULL] FROM z"
    )
    pipeline = world.pipeline()
    assert pipeline.once() == 0
    pipeline.assert_equal("a", "z")


@pytest.mark.parametrize(
    "kind, value, missing, make",
    [
        ("regclass", "only_here", "only_here", "CREATE TABLE only_here ()"),
        ("regnamespace", '"Only here"', "Only here", 'CREATE SCHEMA "Only here"'),
        ("regprocedure", "only_here(integer)", "only_here", "CREATE FUNCTION only_here(int) RETURNS int RETURN 1"),
    ],
)
def test_values_that_name_what_the_destination_lacks(world, kind, value, missing, make):
    world.sql(f"{make}; CREATE TABLE t (id int PRIMARY KEY, r {kind}); CREATE TABLE u (id int PRIMARY KEY)")
    world.sql("INSERT INTO t VALUES (1, %s); INSERT INTO u VALUES (1)", value)
    pipeline = world.pipeline(source={"tables": ["t", "u"]})
    pipeline.start()
    pipeline.wait_equal("u")
    pipeline.wait_until(lambda: "destination.refused" in pipeline.process.text(), "the table is stopped")
    pipeline.stop()
    assert re.search(rf"{missing}.*does not exist.*Make what is missing at the destination", pipeline.process.text())
    world.there(make)
    pipeline.start()
    pipeline.wait_equal("t", "u")
    pipeline.stop()


def test_a_type_of_one_name_that_is_another_one(world):
    """Values would fit, and arrive changed."""
    world.sql(
        "CREATE DOMAIN price AS numeric(10,3); CREATE TYPE item AS (n int, p price); CREATE TABLE t (id int PRIMARY KEY, i item);"
        "CREATE TABLE u (id int PRIMARY KEY); INSERT INTO t VALUES (1, (1, 1.125)); INSERT INTO u VALUES (1)"
    )
    world.there("CREATE DOMAIN price AS numeric(10,1) CHECK (value > 0)")
    pipeline = world.pipeline()
    pipeline.start()
    pipeline.wait_equal("u")
    pipeline.stop()
    text = pipeline.process.text()
    assert "destination.type_differs" in text
    assert "CREATE DOMAIN public.price AS numeric(10,3), and the destination CREATE DOMAIN public.price AS numeric(10,1)" in text
    world.there("DROP DOMAIN price; CREATE DOMAIN price AS numeric(10,3) CHECK (value > 0)")
    pipeline.start()
    pipeline.wait_equal("t", "u")
    world.sql("ALTER TYPE item ADD ATTRIBUTE extra text; INSERT INTO t VALUES (2, (2, 2, 'x'))")
    differs = "CREATE TYPE public.item AS (n integer, p public.price, extra text), and the destination CREATE TYPE"
    pipeline.wait_until(lambda: differs in pipeline.process.text(), "the table is stopped")
    pipeline.stop()
    world.there("ALTER TYPE item ADD ATTRIBUTE extra text")
    pipeline.start()
    pipeline.wait_equal("t", "u")
    pipeline.stop()


def test_columns_have_a_policy_of_their_own_for_what_cannot_be_written(world):
    world.sql(
        'CREATE SCHEMA "S"; CREATE TABLE "S".t (id int PRIMARY KEY, "A.a" real, b float8, c numeric);'
        "CREATE TABLE u (id int PRIMARY KEY); INSERT INTO \"S\".t VALUES (1, 'NaN', '-Infinity', 1.50)"
    )
    columns = {'"S".t."A.a"': {"on_unrepresentable": "null"}, '"S".t.b': {"on_unrepresentable": "text"}}
    pipeline = world.pipeline("file", destination={"on_unrepresentable": "error", "columns": {**columns, "u.gone": columns['"S".t.b']}})
    code, said = pipeline.run_to_end()
    assert (code, "destination.no_such_column" in said, r'\"public\".\"u\".\"gone\"' in said) == (1, True, True)
    pipeline.configure(destination={"columns": columns})
    assert pipeline.once() == 0
    pipeline.start()
    world.sql("INSERT INTO \"S\".t VALUES (2, 'Infinity', 'NaN', 2)")
    pipeline.wait_confirmed()
    rows = [tuple(row[name] for name in ("id", "A.a", "b", "c")) for row in files.history(pipeline.to, '"S".t')]
    assert rows == [("1", None, "-Infinity", "1.50"), ("2", None, "NaN", "2")]
    world.sql("INSERT INTO \"S\".t VALUES (3, 0, 0, 'NaN'); INSERT INTO u VALUES (1)")
    pipeline.wait_equal("u")
    pipeline.stop()
    text = pipeline.process.text()
    assert "data.unrepresentable" in text
    assert r"""[destination.columns.'\"S\".\"t\".\"c\"']""" in text
