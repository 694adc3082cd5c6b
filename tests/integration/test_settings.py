"""Nothing that is set for a role or a database, at either end, changes a value; nor does a database's encoding."""

import pytest

from support import files

both = pytest.mark.parametrize("to", ["postgres", "file"])

SETTINGS = {
    "DateStyle": "'SQL, DMY'",
    "IntervalStyle": "'sql_standard'",
    "TimeZone": "'Asia/Kathmandu'",
    "extra_float_digits": "-15",
    "bytea_output": "'escape'",
    "search_path": "elsewhere, pg_catalog",
    "array_nulls": "off",
    "xmloption": "'document'",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "default_transaction_isolation": "'serializable'",
    "default_transaction_deferrable": "on",
    "statement_timeout": "1",
    "lock_timeout": "1",
    "idle_in_transaction_session_timeout": "1",
    "client_encoding": "'LATIN1'",
    "client_min_messages": "'debug5'",
    "lc_monetary": "'C.UTF-8'",
}

VALUES = {
    "a": ("date", "'2026-02-03'"),
    "b": ("timestamptz", "'2026-02-03 04:05:06.789+02'"),
    "c": ("timestamp", "'0044-03-15 12:00:00 BC'"),
    "d": ("interval", "'-1 year 2 mons -3 days 04:05:06.789'"),
    "e": ("double precision", "0.1::float8 + 0.2::float8"),
    "f": ("real", "1.17549435e-38"),
    "g": ("bytea", r"'\x00ff5c27'::bytea"),
    "h": ("text[]", "ARRAY['NULL', NULL, E'b\\\\s', 'é']"),
    "i": ("xml", "xmlparse(CONTENT 'a<b/>c')"),
    "j": ("money", "'-1234.56'"),
    "k": ("timetz", "'12:30:00.5+05:45'"),
    "l": ("tstzrange", "'[2026-01-01 00:00+00,2026-02-01 00:00+00)'"),
    "m": ("mood", "'so so'"),
    "n": ("text", r"E'back\\slash '' quote é'"),
    "o": ("numeric", "1234567.8900"),
    "p": ("daterange[]", "ARRAY['[2026-01-02,2026-03-04)'::daterange]"),
    "q": ("interval[]", "ARRAY['1 mon -1 day'::interval]"),
    "r": ("jsonb", r"""'{"a": "\\u00e9 \"q\""}'"""),
}


@pytest.mark.matrix
@pytest.mark.parametrize(
    "to,binary,scope", [("postgres", "auto", "DATABASE"), ("postgres", "off", "ROLE"), ("file", "auto", "ROLE")]
)
def test_session_settings_change_no_value(world, to, binary, scope):
    own = (
        "CREATE SCHEMA elsewhere; CREATE TYPE public.mood AS ENUM ('sad', 'so so');"
        "CREATE FUNCTION elsewhere.lower(text) RETURNS text LANGUAGE sql AS 'SELECT ''wrong'''"
    )
    world.sql(own)
    world.there(own)
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in VALUES.items())
    insert = f"INSERT INTO public.t SELECT %s, {', '.join(value for _, value in VALUES.values())}"
    world.sql(f"CREATE TABLE public.t (id int PRIMARY KEY, {columns}); CREATE TABLE elsewhere.t (id int PRIMARY KEY)")
    world.sql(insert, 1)
    # The test's own sessions have begun: what they compare is spelled as ever.
    for database in (world.source, world.destination):
        subject = f"DATABASE {database}" if scope == "DATABASE" else f"ROLE postgres IN DATABASE {database}"
        for name, value in SETTINGS.items():
            world.cluster.sql("postgres", f"ALTER {subject} SET {name} = {value}")
    pipeline = world.pipeline(to, source={"binary": binary})
    pipeline.start()
    pipeline.wait_equal("public.t", "elsewhere.t")
    world.sql(insert, 2)
    world.sql("UPDATE public.t SET id = 3, o = 1.10 WHERE id = 1; INSERT INTO elsewhere.t VALUES (1)")
    pipeline.wait_equal("public.t", "elsewhere.t")
    pipeline.stop()
    pipeline.assert_equal("public.t", "elsewhere.t")
    assert world.sql("SHOW DateStyle") == [("ISO, MDY",)]


def recreate(world, database, encoding):
    world.cluster.drop_database(database)
    world.cluster.create_database(database, encoding)


TEXTS = "CREATE TABLE t (id int PRIMARY KEY, s text, c char(4), v varchar(3), l text[], j jsonb, e text DEFAULT 'é')"


@pytest.mark.matrix
@pytest.mark.parametrize("to,binary", [("postgres", "auto"), ("postgres", "off"), ("file", "auto")])
def test_a_source_in_latin1(world, to, binary):
    recreate(world, world.source, "LATIN1")
    world.sql(f"{TEXTS}; CREATE TABLE \"Café\" (\"clé\" text PRIMARY KEY, n int)")
    row = "INSERT INTO t VALUES (%s, 'é ÿ', 'é', 'éàü', ARRAY['é', NULL], '{\"é\": \"è\"}'); INSERT INTO \"Café\" VALUES (%s, 1)"
    world.sql(row, 1, "né")
    pipeline = world.pipeline(to, source={"binary": binary})
    pipeline.start()
    pipeline.wait_equal("t", '"Café"')
    world.sql(row, 2, "à")
    world.sql("UPDATE t SET s = s || 'ö'; UPDATE \"Café\" SET n = 2 WHERE \"clé\" = 'né'; DELETE FROM \"Café\" WHERE \"clé\" = 'à'")
    pipeline.wait_equal("t", '"Café"')
    pipeline.stop()
    pipeline.assert_equal("t", '"Café"')


@pytest.mark.parametrize("binary", ["auto", "off"])
def test_a_destination_that_cannot_write_every_letter(world, binary):
    recreate(world, world.destination, "LATIN1")
    world.sql(f"{TEXTS}; CREATE TABLE other (id int PRIMARY KEY, s text); INSERT INTO t VALUES (1, 'é')")
    pipeline = world.pipeline(source={"binary": binary})
    pipeline.start()
    pipeline.wait_equal("t", "other")
    world.sql("UPDATE t SET s = 'ô'; INSERT INTO other VALUES (1, 'ü')")
    pipeline.wait_equal("t", "other")
    world.sql("INSERT INTO t VALUES (2, '漢字')")
    pipeline.wait_until(lambda: "table stopped" in pipeline.process.text(), "the table stops")
    world.sql("INSERT INTO other VALUES (2, 'à')")
    pipeline.wait_equal("other")
    text = pipeline.process.text()
    assert '"destination.encoding"' in text and '\\"public\\".\\"t\\"' in text and "LATIN1" in text and "漢" not in text
    pipeline.stop()


BYTES = r"'\xe9ff80'"  # neither UTF-8 nor anything else


@pytest.mark.matrix
@pytest.mark.parametrize("to,binary", [("postgres", "auto"), ("postgres", "off"), ("file", "auto")])
def test_bytes_that_are_no_text_are_refused_by_name(world, to, binary):
    recreate(world, world.source, "SQL_ASCII")
    world.sql("CREATE TABLE t (id int PRIMARY KEY, s text); CREATE TABLE other (id int PRIMARY KEY, s text)")
    text_of = "encode(convert_to(s, 'SQL_ASCII'), 'hex')"
    world.sql(r"INSERT INTO other VALUES (1, 'plain'), (2, convert_from('\xc3a9', 'SQL_ASCII'))")  # é in UTF-8
    pipeline = world.pipeline(to, source={"binary": binary})
    pipeline.start()

    def arrived(number, table):
        if to == "file":
            return [row for row in files.history(pipeline.to, table) if row["id"] == str(number)]
        return world.there("SELECT to_regclass(%s) IS NOT NULL", table)[0][0] and world.there(
            f"SELECT s FROM {table} WHERE id = %s", number
        )

    pipeline.wait_until(lambda: arrived(2, "other"), "text that is UTF-8")
    found = arrived(2, "other")[0]
    assert (found["s"] if to == "file" else found[0]) == "é"
    world.sql(f"INSERT INTO t VALUES (1, convert_from({BYTES}, 'SQL_ASCII'))")
    pipeline.wait_until(lambda: "table stopped" in pipeline.process.text(), "the table stops")
    world.sql("INSERT INTO other VALUES (3, 'goes on')")
    pipeline.wait_until(lambda: arrived(3, "other"), "the other table's row")
    assert not arrived(1, "t")
    text = pipeline.process.text()
    assert ('"data.encoding"' if to == "file" else '"destination.encoding"') in text and '\\"t\\"' in text
    assert world.sql(f"SELECT {text_of} FROM t") == [("e9ff80",)]
    pipeline.stop()


@pytest.mark.matrix
@pytest.mark.parametrize("binary", ["auto", "off"])
def test_bytes_that_are_no_text_between_databases_that_keep_them(world, binary):
    recreate(world, world.source, "SQL_ASCII")
    recreate(world, world.destination, "SQL_ASCII")
    world.sql("CREATE TABLE t (s text PRIMARY KEY, n int, body text); ALTER TABLE t ALTER body SET STORAGE EXTERNAL")
    insert = "INSERT INTO t VALUES (convert_from(decode(%s, 'hex'), 'SQL_ASCII'), %s, repeat(convert_from(" + BYTES
    insert += ", 'SQL_ASCII'), 3000))"
    world.sql(insert, "e9ff80", 1)
    pipeline = world.pipeline(source={"binary": binary})
    rows = "SELECT encode(convert_to(s, 'SQL_ASCII'), 'hex'), n, md5(body) FROM t ORDER BY 1"

    def same():
        return world.there("SELECT to_regclass('t') IS NOT NULL")[0][0] and world.there(rows) == world.sql(rows)

    pipeline.start()
    pipeline.wait_until(same, "the copied bytes")
    world.sql(insert, "c3", 2)
    world.sql("UPDATE t SET n = n + 10; UPDATE t SET s = s || convert_from('\\xfe', 'SQL_ASCII') WHERE n = 12")
    world.sql(insert, "fe", 3)
    world.sql("DELETE FROM t WHERE n = 11")
    pipeline.wait_until(same, "the streamed bytes")
    pipeline.stop()
    assert same() and len(world.there(rows)) == 2
