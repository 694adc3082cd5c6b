"""Results in the SQL API's spelling: everything text, times as numbers since the epoch."""

import json


class Result:
    def __init__(self, columns=(), rows=(), stats=None):
        self.columns = list(columns)  # (name, type of the SQL API, precision, scale)
        self.rows = rows
        self.stats = stats

    @staticmethod
    def of_texts(names, rows):
        texts = [[None if value is None else str(value) for value in row] for row in rows]
        return Result([(name, "text", None, None) for name in names], texts)

    @staticmethod
    def message(text):
        return Result.of_texts(["status"], [(text,)])

    @staticmethod
    def changes(**counts):
        """inserted=, updated=, deleted=: as DML answers."""
        names = [f"number of rows {what}" for what in counts]
        stats = {f"numRows{what.capitalize()}": counts.get(what, 0) for what in ("inserted", "deleted", "updated")}
        result = Result([(name, "fixed", 19, 0) for name in names], [[str(count) for count in counts.values()]], stats)
        result.stats["numDmlDuplicates"] = 0
        return result

    def row_types(self):
        return [{"name": name, "database": "", "schema": "", "table": "", "type": kind, "nullable": True, "precision": precision,
                 "scale": scale, "byteLength": None, "length": None} for name, kind, precision, scale in self.columns]


def of_query(connection, sql):
    """Runs a SELECT and returns its Result."""
    connection.execute(f"DESCRIBE {sql}")
    described = [(row[0], row[1]) for row in connection.fetchall()]
    names = [f"c{number}" for number in range(len(described))]
    wanted, columns = [], []
    for name, (label, kind) in zip(names, described):
        expression, api_type, precision, scale = spelled(name, kind)
        wanted.append(expression)
        columns.append((label, api_type, precision, scale))
    connection.execute(f"SELECT {', '.join(wanted)} FROM ({sql}) AS q ({', '.join(names)})")
    return Result(columns, [list(row) for row in connection.fetchall()])


def spelled(name, kind):
    """(expression that gives the text, the API's type, precision, scale) of a column of DuckDB's type `kind`."""
    if kind.startswith("DECIMAL"):
        precision, scale = map(int, kind[8:-1].split(","))
        return f"CAST({name} AS VARCHAR)", "fixed", precision, scale
    if kind in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UBIGINT", "UINTEGER", "USMALLINT", "UTINYINT"):
        return f"CAST({name} AS VARCHAR)", "fixed", 38, 0
    if kind == "DATE":
        return f"CAST({name} - DATE '1970-01-01' AS VARCHAR)", "date", None, None
    if kind == "TIME":
        return f"printf('%d.%09d', epoch_us({name}) // 1000000, epoch_us({name}) % 1000000 * 1000)", "time", None, 9
    if kind == "TIMESTAMP":
        return f"{seconds(name)}", "timestamp_ntz", None, 9
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"{seconds(name)} || ' 1440'", "timestamp_tz", None, 9  # minutes from UTC, plus 1440
    if kind == "BLOB":
        return f"hex({name})", "binary", None, None
    if kind == "BOOLEAN":
        return f"CAST({name} AS VARCHAR)", "boolean", None, None
    if kind in ("DOUBLE", "FLOAT"):
        return f"CAST({name} AS VARCHAR)", "real", None, None
    return f"CAST({name} AS VARCHAR)", "variant" if kind == "JSON" else "text", None, None


def seconds(name):
    """A floor, so that the fraction is never negative."""
    whole = f"CAST(floor(epoch_us({name}) / 1000000) AS BIGINT)"
    return f"printf('%d.%09d', {whole}, (epoch_us({name}) - {whole} * 1000000) * 1000)"


def body(result, handle, request, code="090001", message="Statement executed successfully."):
    """The JSON that the SQL API answers with."""
    answer = {
        "resultSetMetaData": {
            "numRows": len(result.rows), "format": "jsonv2", "rowType": result.row_types(),
            "partitionInfo": [{"rowCount": len(result.rows), "uncompressedSize": len(json.dumps(result.rows))}],
        },
        "data": result.rows, "code": code, "message": message, "sqlState": "00000", "statementHandle": handle,
        "statementStatusUrl": f"/api/v2/statements/{handle}?requestId={request}", "requestId": request, "createdOn": 0,
    }
    if result.stats:
        answer["stats"] = result.stats
    return answer
