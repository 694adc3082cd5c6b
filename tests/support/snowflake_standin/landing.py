"""Rows of the ingest protocol into a table, as a pipe with MATCH_BY_COLUMN_NAME = CASE_SENSITIVE and ON_ERROR = CONTINUE
would: rows that do not fit are skipped and counted. The work is DuckDB's; Python only cuts the rows into columns."""

import tempfile

import msgspec

SEPARATOR = b"\x01"  # cannot stand in a JSON token: control characters are escaped there


def count_rows(body):
    """Lines that are not blank."""
    lines = body.count(b"\n") + (not body.endswith(b"\n") and bool(body))
    if b"\n\n" in body or body.startswith(b"\n") or b"\r" in body:
        lines = sum(1 for line in body.split(b"\n") if line.strip())
    return lines


class Loader:
    """Prepared for one set of columns: [(name, Type, nullable)]."""

    def __init__(self, connection, table, columns):
        self.connection = connection
        self.columns = columns
        fields = [(f"c{number}", msgspec.Raw, msgspec.Raw(b"null")) for number in range(len(columns))]
        names = {f"c{number}": column[0] for number, column in enumerate(columns)}
        row = msgspec.defstruct("Row", fields, rename=names, forbid_unknown_fields=True, gc=False)
        self.decoder = msgspec.json.Decoder(row)
        numbers = range(len(columns))
        tokens = ", ".join(f"'t{number}': 'VARCHAR'" for number in numbers)
        values = ", ".join(f"{column[1].value(f't{number}')} AS c{number}" for number, column in enumerate(columns))
        misfits = [self._misfit(number, nullable) for number, (_, _, nullable) in enumerate(columns)]
        self.stage = (
            f"CREATE OR REPLACE TEMP TABLE staged AS SELECT *, CASE {' '.join(misfits)} END AS misfit FROM"
            f" (SELECT *, {values} FROM read_csv(?, delim = '\x01', quote = '', escape = '', header = false,"
            f" auto_detect = false, nullstr = 'null', new_line = '\\n', max_line_size = 100000000, columns = {{{tokens}}}))"
        )
        listed = ", ".join('"' + column[0].replace('"', '""') + '"' for column in columns)
        kept = ", ".join(f"c{number}" for number in numbers)
        self.insert = f"INSERT INTO {table} ({listed}) SELECT {kept} FROM staged WHERE misfit IS NULL"
        self.streamed = f"SELECT {kept} FROM staged WHERE misfit IS NULL"

    @staticmethod
    def _misfit(number, nullable):
        absent = "" if nullable else f" WHEN t{number} IS NULL THEN -1 - {number}"
        return f"WHEN t{number} IS NOT NULL AND c{number} IS NULL THEN {number}{absent}"

    def load(self, body, refused=()):
        """Inserts what fits. Returns how many rows did not, and what Snowflake says of the last of them. `refused`:
        texts; rows that hold one of them do not fit, whatever their values."""
        rows, message = self._decode(body, refused)
        count = count_rows(body) - len(rows)
        if not rows:
            return count, message
        cells = msgspec.structs.astuple
        with tempfile.NamedTemporaryFile(prefix="standin.") as file:
            file.write(b"\n".join([SEPARATOR.join(cells(row)) for row in rows]) + b"\n")
            file.flush()
            self.connection.execute(self.stage, [file.name])
        misfits = self.connection.execute("SELECT count(*), arg_max(misfit, rowid) FROM staged WHERE misfit IS NOT NULL")
        found, last = misfits.fetchone()
        if found:
            count, message = count + found, self._describe(last)
        self.connection.execute(self.insert)
        return count, message

    def _decode(self, body, refused):
        if not refused:
            try:
                return self.decoder.decode_lines(body), None
            except msgspec.MsgspecError:
                pass  # one line or more: which, the loop below finds
        rows, message = [], None
        for line in body.split(b"\n"):
            if not line.strip():
                continue
            if any(text in line for text in refused):
                message = f"Row refused as told: {line.decode(errors='replace')}"
                continue
            try:
                rows.append(self.decoder.decode(line))
            except msgspec.MsgspecError as failure:
                message = f"Error parsing JSON: {failure}"
        return rows, message

    def _describe(self, misfit):
        if misfit < 0:
            return f"NULL result in a non-nullable column: {self.columns[-1 - misfit][0]}"
        name, type_, _ = self.columns[misfit]
        value = self.connection.execute(f"SELECT t{misfit} FROM staged WHERE misfit = {misfit} ORDER BY rowid DESC").fetchone()
        return f"Value '{value[0]}' of column {name} is not recognized as {type_}"
