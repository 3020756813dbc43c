"""UPDATE statements whose columns are known."""

import sqlite3
from collections.abc import Collection, Mapping
from typing import Any


def set_columns(
    db: sqlite3.Connection, table: str, row_id: int, known: Collection[str], fields: Mapping[str, Any]
) -> None:
    """Set columns of a row.

    Raises:
        ValueError: a name is not one of the `known` columns; names become part of the statement.
    """
    if unknown := [name for name in fields if name not in known]:
        raise ValueError(f"{table} has no column {unknown[0]!r} to set")
    columns = ", ".join(f"{name} = ?" for name in fields)
    db.execute(f"UPDATE {table} SET {columns} WHERE id = ?", (*fields.values(), row_id))
