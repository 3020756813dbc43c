"""A run's mistakes: its confusion matrix and its misclassified images, read from two logged tables.

The first has the columns label, prediction and count. The second has the columns index, image, label, prediction and
confidence. The names of the tables do not matter.
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_MISTAKES = 60


@dataclass(frozen=True)
class Confusion:
    """Counts by true label (rows) and prediction (columns), both in the order of `labels`."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def total(self) -> int:
        return sum(map(sum, self.counts))


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One misclassified image: its index in the data set, its PNG, its label and the prediction."""

    index: int
    png: bytes
    label: str
    prediction: str
    confidence: float | None = None


@dataclass(frozen=True)
class Media:
    """What one run got wrong."""

    confusion: Confusion | None = None
    mistakes: tuple[Mistake, ...] = ()


Read = Callable[[str], bytes]
"""Return the bytes of an image file, given its path inside the run. Raise OSError or KeyError if there is none."""


def from_tables(tables: Iterable[tuple[Mapping[str, Any], Read]]) -> Media | None:
    """Read a run's logged tables, the newest first, each with a reader of its files; None if they have no mistakes."""
    confusion: Confusion | None = None
    mistakes: tuple[Mistake, ...] = ()
    for table, read in tables:
        confusion = confusion or confusion_from_table(table)
        mistakes = mistakes or mistakes_from_table(table, read)
    return Media(confusion, mistakes) if confusion or mistakes else None


def png_uri(png: bytes) -> str:
    """Return the image as a `data:` address, which saves a request."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def confusion_from_table(table: Mapping[str, Any]) -> Confusion | None:
    """Read a table with the columns label, prediction and count; None if it lacks one of them."""
    rows = _rows(table, "label", "prediction", "count")
    if not rows:
        return None
    labels = sorted({_text(row[i]) for row in rows for i in (0, 1)}, key=lambda text: (len(text), text))
    place = {label: i for i, label in enumerate(labels)}
    counts = [[0] * len(labels) for _ in labels]
    for label, prediction, count in rows:
        counts[place[_text(label)]][place[_text(prediction)]] += int(count)
    return Confusion(tuple(labels), tuple(tuple(row) for row in counts))


def mistakes_from_table(table: Mapping[str, Any], read: Read) -> tuple[Mistake, ...]:
    """Read a table of misclassified images, the most confident mistakes first. Unreadable images are left out."""
    rows = _rows(table, "index", "image", "label", "prediction", "confidence")
    rows.sort(key=lambda row: -(row[4] if isinstance(row[4], int | float) else 0.0))
    found: list[Mistake] = []
    for index, image, label, prediction, confidence in rows[:MAX_MISTAKES]:
        try:
            png = read(image["path"])
        except (OSError, KeyError, TypeError):
            continue
        sure = float(confidence) if isinstance(confidence, int | float) else None
        found.append(
            Mistake(index=int(index), png=png, label=_text(label), prediction=_text(prediction), confidence=sure)
        )
    return tuple(found)


def _rows(table: Mapping[str, Any], *names: str) -> list[list[Any]]:
    """Return the named columns of the table's rows; empty if one of the columns is missing."""
    columns = list(table.get("columns") or ())
    if any(name not in columns for name in names):
        return []
    places = [columns.index(name) for name in names]
    return [[row[place] for place in places] for row in table.get("data") or ()]


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
