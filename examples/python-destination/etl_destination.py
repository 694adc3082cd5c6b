"""The types of a destination module: what etl-stream hands to it, and what it expects back.

Nothing has to be imported from here; it is for type checkers and readers. A module has a function

    def open(config: Config) -> Destination: ...

Everything is called from one thread, one call at a time. Raise etl_stream.DataError for a table that cannot go on,
etl_stream.ConfigError for what only the user can mend, etl_stream.Error for what passes, each with words that hold
nothing of the rows, since they are logged. Any other exception ends the attempt, too: the log tells its type and place.
After an exception only close() is called, and the pipeline opens the module again after a pause.
"""

from __future__ import annotations

from typing import Mapping, Optional, Protocol, Sequence, TypedDict, Union

Position = str
"""Where a row stands in the order of everything: 32 hex digits, whose order as text is that of the rows."""


class Config(TypedDict):
    pipeline: str  # its name
    settings: Mapping[str, str]  # [destination.settings] of the configuration


class Column(TypedDict):
    name: str
    type: str  # as PostgreSQL writes it: "numeric(10,2)"
    arrow: str  # as an Arrow batch has it: "decimal128(10, 2)"
    attnum: int  # stays when the column is renamed
    not_null: bool
    key: bool


class Table(TypedDict):
    oid: int
    schema: str
    name: str
    columns: Sequence[Column]
    key: Sequence[str]  # names of columns, in the key's order; empty: rows are only appended
    replaces: bool  # a table of this name was dropped at the source, and this one was made in its place
    copied_again: bool  # every row is about to come again: what rows hold in a changed column need not be kept


class TableState(TypedDict, total=False):
    position: Optional[Position]  # rows up to here are there, and are not written again
    created: bool  # it was made just now: if it had been copied, it is copied again
    has_rows: bool
    stale: bool  # rows that are there lack values after a change of columns: the table is copied again


class Batch(Protocol):
    """Rows of one table in their order. With format "ndjson", `rows` holds a JSON object a line; with "arrow" the batch
    has the Arrow PyCapsule interface instead (pyarrow.table(batch), or a DuckDB relation), and may be read repeatedly.

    Each row tells its "_etl_operation", "_etl_position" and "_etl_commit_time". Operations are insert, update, remove (the
    key alone), copy (treat it as insert or update) and rekey: an update whose "_etl_old_key" is the key that the row had.
    What an update did not change may be left out in NDJSON; in Arrow it is null and named in "_etl_unchanged".
    """

    count: int
    first: Position
    last: Position
    only_new: bool  # nothing but insert and copy
    copied: bool  # rows of the table's copy, each of another key
    copying: bool  # the copy goes on: rows that these change or remove may not be there yet
    rows: bytes


class Destination(Protocol):
    def ensure_table(self, table: Table) -> Union[TableState, Position, None]:
        """Makes the table fit; comes before the first row of each version of its columns."""

    def write(self, table: Table, batch: Batch) -> None:
        """Takes rows. They may come again, after a crash, until durable() has counted them."""

    def truncate(self, table: Table, position: Position) -> None:
        """Empties the table. Without this method, TRUNCATE at the source stops its table."""

    def durable(self) -> Optional[Mapping[int, Position]]:
        """What survives a crash by now: the position of each table by its oid. None: all that write() has taken."""

    def close(self) -> None:
        """Lets go of everything."""
