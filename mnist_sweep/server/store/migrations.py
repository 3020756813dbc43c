"""The schema, as named steps in the order of their names; each is applied once, in one transaction. Only ever add one.

A step is a function of the connection, or a file in `schema`, whose statements are separated by semicolons. Foreign
keys are off meanwhile, so that a step can replace a table.
"""

import re
import secrets
import sqlite3
from collections.abc import Callable
from importlib import resources

_OLD_KEY = re.compile(r"\bid INTEGER PRIMARY KEY\b(?! AUTOINCREMENT)")


def _never_reuse_ids(db: sqlite3.Connection) -> None:
    """Give every table with an `id` the keyword AUTOINCREMENT, and start its ids at a random number.

    Row ids leave the server as `Agent:1`. SQLite reuses the greatest id once its row is deleted, so that a client which
    still knows the old row would change another one. The random start keeps ids apart that were deleted before this
    step, and ids of different data folders.
    """
    start = 1_000_000 + secrets.randbits(30)  # the schema calls `projectId` a 32-bit integer
    tables = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
    for name, sql in tables:
        if not _OLD_KEY.search(sql):
            continue
        indexes = db.execute(
            "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL", (name,)
        ).fetchall()
        columns = sql[sql.index("(") :]
        db.execute(f"CREATE TABLE new_{name} {_OLD_KEY.sub('id INTEGER PRIMARY KEY AUTOINCREMENT', columns)}")
        db.execute(f"INSERT INTO new_{name} SELECT * FROM {name}")
        db.execute(f"DROP TABLE {name}")
        db.execute(f"ALTER TABLE new_{name} RENAME TO {name}")
        for (index,) in indexes:
            db.execute(index)
        db.execute("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
        db.execute(
            "INSERT INTO sqlite_sequence (name, seq) SELECT ?1, max(?2, ifnull(max(id), 0)) FROM " + name, (name, start)
        )


_FILES = [file for file in resources.files(__package__).joinpath("schema").iterdir() if file.name.endswith(".sql")]
_STEPS: dict[str, str | Callable[[sqlite3.Connection], None]] = {
    **{file.name.removesuffix(".sql"): file.read_text("utf-8") for file in _FILES},
    "0010-ids-are-never-reused": _never_reuse_ids,
}
MIGRATIONS = sorted(_STEPS.items(), key=lambda step: step[0])
"""The name of each step, and what it does."""
