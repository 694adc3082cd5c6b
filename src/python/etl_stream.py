"""What etl-stream offers to the Python modules that it runs."""


class Error(Exception):
    """An error in the author's own words: they are logged, so they must not hold what rows hold.

    What any other exception says stays out of the log; only its type and place are told.
    This one is passing: the pipeline starts again after a pause.
    """

    severity = "retry"

    def __init__(self, message, hint=""):
        super().__init__(message)
        self.hint = hint


class ConfigError(Error):
    """The user has to change something first; the pipeline stays down until then."""

    severity = "config"


class DataError(Error):
    """This one table cannot go on; the others do."""

    severity = "data"


class Batch:
    """Rows of one table, in the order in which they changed."""

    __slots__ = ("count", "first", "last", "only_new", "copied", "copying")

    def __init__(self, count, first, last, only_new, copied, copying):
        self.count = count
        self.first = first  # positions of the first and the last row: 32 hex digits, in whose order rows are
        self.last = last
        self.only_new = only_new  # nothing but rows that are new
        self.copied = copied  # rows of the table's copy, each of another key
        self.copying = copying  # the table's copy goes on: rows that these change or remove may not be there yet


class NdjsonBatch(Batch):
    """Its rows are lines of JSON."""

    __slots__ = ("rows",)

    def __init__(self, rows, *facts):
        super().__init__(*facts)
        self.rows = rows


class ArrowBatch(Batch):
    """Its rows are what the Arrow PyCapsule interface hands out: pyarrow.table(batch), for example."""

    __slots__ = ("_export",)

    def __init__(self, export, *facts):
        super().__init__(*facts)
        self._export = export

    def __arrow_c_stream__(self, requested_schema=None):
        return self._export()
