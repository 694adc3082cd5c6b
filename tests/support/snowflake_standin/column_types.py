"""Snowflake's column types: as declared, as DuckDB holds them, and which JSON values they accept."""

from sqlglot import exp

MOST_CHARACTERS = 16777216
MOST_BYTES = 8388608

# DuckDB's type by Snowflake's; VARIANT keeps the JSON text as it came, digits included.
HELD_AS = {
    "FLOAT": "DOUBLE", "BOOLEAN": "BOOLEAN", "DATE": "DATE", "TIME": "TIME", "TIMESTAMP_NTZ": "TIMESTAMP",
    "TIMESTAMP_TZ": "TIMESTAMPTZ", "TIMESTAMP_LTZ": "TIMESTAMPTZ", "BINARY": "BLOB", "VARIANT": "JSON", "OBJECT": "JSON",
    "ARRAY": "JSON", "GEOGRAPHY": "VARCHAR", "GEOMETRY": "VARCHAR", "VARCHAR": "VARCHAR",
}

# What a text must look like; DuckDB's own casts take more than Snowflake does ('infinity', BC, years of five digits).
DAY = r"\d{4}-\d{2}-\d{2}"
CLOCK = r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?"
OFFSET = r"(Z|[+-]\d{2}(:?\d{2})?)"


class Type:
    def __init__(self, name, precision=None, scale=None):
        self.name, self.precision, self.scale = name, precision, scale

    @staticmethod
    def of(data_type):
        """From sqlglot's parsed type."""
        kind = exp.DataType.Type
        sizes = [int(parameter.name) for parameter in data_type.expressions if parameter.name.isdigit()]
        this = data_type.this
        if this in exp.DataType.INTEGER_TYPES:
            return Type("NUMBER", 38, 0)
        if this == kind.DECIMAL:
            return Type("NUMBER", sizes[0] if sizes else 38, sizes[1] if len(sizes) > 1 else 0)
        if this in (kind.DOUBLE, kind.FLOAT):
            return Type("FLOAT")
        if this in exp.DataType.TEXT_TYPES or this == kind.NAME:
            fixed = this in (kind.CHAR, kind.NCHAR)
            return Type("VARCHAR", sizes[0] if sizes else 1 if fixed else MOST_CHARACTERS)
        if this in (kind.BINARY, kind.VARBINARY):
            return Type("BINARY", sizes[0] if sizes else MOST_BYTES)
        name = {
            kind.TIMESTAMP: "TIMESTAMP_NTZ", kind.TIMESTAMPNTZ: "TIMESTAMP_NTZ", kind.DATETIME: "TIMESTAMP_NTZ",
            kind.TIMESTAMPTZ: "TIMESTAMP_TZ", kind.TIMESTAMPLTZ: "TIMESTAMP_LTZ", kind.LIST: "ARRAY", kind.STRUCT: "OBJECT",
        }.get(this, this.value)
        if name not in HELD_AS:
            raise ValueError(f"Unsupported data type '{data_type.sql('snowflake')}'.")
        timed = name.startswith("TIME")
        return Type(name, (sizes[0] if sizes else 9) if timed else None)

    def __str__(self):
        if self.name == "NUMBER":
            return f"NUMBER({self.precision},{self.scale})"
        return self.name if self.precision is None else f"{self.name}({self.precision})"

    def held_as(self):
        return f"DECIMAL({self.precision}, {self.scale})" if self.name == "NUMBER" else HELD_AS[self.name]

    def data_type(self):
        """As INFORMATION_SCHEMA.COLUMNS names it."""
        return "TEXT" if self.name == "VARCHAR" else self.name

    def widens_to(self, other):
        """Whether ALTER COLUMN SET DATA TYPE may make `other` of it."""
        if self.name != other.name:
            return False
        if self.name == "NUMBER":
            return other.scale == self.scale and other.precision >= self.precision
        return self.precision is None or other.precision >= self.precision

    def value(self, token):
        """SQL that makes the column's value of a JSON token (a text column; NULL for null), NULL where it does not fit."""
        text = f"(CASE WHEN {token}[1] = '\"' THEN {token}::JSON ->> '$' ELSE {token} END)"
        compound = f"{token}[1] IN ('{{', '[')"

        def matching(pattern, value):
            return f"(CASE WHEN regexp_full_match({text}, '{pattern}') THEN {value} END)"

        if self.name == "NUMBER":
            return f"(CASE WHEN NOT {compound} THEN TRY_CAST({text} AS {self.held_as()}) END)"
        if self.name == "VARCHAR":
            return f"(CASE WHEN length({text}) <= {self.precision} THEN {text} END)"
        if self.name == "BOOLEAN":
            return (f"(CASE WHEN lower({text}) IN ('true', 't', 'yes', 'y', 'on', '1') THEN true"
                    f" WHEN lower({text}) IN ('false', 'f', 'no', 'n', 'off', '0') THEN false END)")
        if self.name == "DATE":
            return matching(f"{DAY}([T ]{CLOCK}{OFFSET}?)?", f"TRY_CAST({text}[:10] AS DATE)")
        if self.name == "TIME":
            return matching(CLOCK, f"TRY_CAST({text} AS TIME)")
        if self.name == "TIMESTAMP_NTZ":
            bare = f"regexp_replace({text}, '(:[0-9.]+) ?{OFFSET}$', '\\1')"
            return matching(f"{DAY}([T ]{CLOCK} ?{OFFSET}?)?", f"TRY_CAST({bare} AS TIMESTAMP)")
        if self.name in ("TIMESTAMP_TZ", "TIMESTAMP_LTZ"):
            return matching(f"{DAY}([T ]{CLOCK} ?{OFFSET}?)?", f"TRY_CAST({text} AS TIMESTAMPTZ)")
        if self.name == "BINARY":
            return matching(f"([0-9A-Fa-f]{{2}}){{0,{self.precision}}}" if self.precision <= 1000 else "([0-9A-Fa-f]{2})*",
                            f"unhex({text})")
        if self.name in ("VARIANT", "ARRAY", "OBJECT"):
            first = {"VARIANT": "", "ARRAY": "[", "OBJECT": "{"}[self.name]
            fits = f"{token}[1] = '{first}'" if first else "true"
            return f"(CASE WHEN {fits} THEN TRY_CAST({token} AS JSON) END)"
        if self.name in ("GEOGRAPHY", "GEOMETRY"):
            shape = r"(SRID=\d+;)?(POINT|LINESTRING|POLYGON|MULTI|GEOMETRYCOLLECTION).*"
            return (f"(CASE WHEN {token}[1] = '{{' OR regexp_matches({text}, '^({shape}|[0-9A-Fa-f]{{10,}})$', 'i')"
                    f" THEN {text} END)")
        return f"TRY_CAST({text} AS {self.held_as()})"
