"""The record of confirmations: a file of JSON lines, one per seed, by which an interrupted confirmation resumes."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mnist_sweep.config import ConfigError, RunConfig, parse
from mnist_sweep.errors import UserError
from mnist_sweep.selection.lock import exclusive_lock


class ConfirmError(UserError, RuntimeError):
    """Nothing could be confirmed; the message is one line for people."""


@dataclass(frozen=True, kw_only=True)
class SeedResult:
    """The result of one seed."""

    seed: int
    accuracy: float
    """Accuracy on the test images after the last epoch, a fraction; NaN if the training diverged."""
    seconds: float
    diverged: bool = False
    precision: str = "auto"
    """Arithmetic of the training, `float32` or `bfloat16`; `auto` in lines from before this field."""


@dataclass(frozen=True)
class _Line:
    config: dict[str, Any]
    result: SeedResult


_LINES = TypeAdapter(_Line)


class ConfirmRecord:
    """The results of one configuration in one precision, in a file that may hold results of others, too."""

    def __init__(self, file: Path, config: RunConfig) -> None:
        """Check that `file` can hold results, and complete a line that an interrupted write cut off.

        Raise ConfirmError if `file` cannot be used.
        """
        self.file, self._recipe, self._precision = file, config.recipe, config.precision
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.exists() and not file.is_file():
                raise ConfirmError(f"{file} is not a file that can hold results: name another --file")
            with file.open("a+b") as out:
                if out.tell():
                    out.seek(-1, os.SEEK_END)
                    if out.read(1) != b"\n":
                        out.write(b"\n")
        except OSError as error:
            raise self._unusable(error) from None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold this configuration in this file inside the block. Raise ConfirmError if another process holds it."""
        busy = ConfirmError(f"another process confirms this into {self.file}: wait for it, or stop it")
        with exclusive_lock(self.file.with_name(f".{self.file.name}.{fingerprint(self._recipe)}.lock"), busy):
            yield

    def read(self) -> Iterator[SeedResult]:
        """Yield the results of the configuration, the oldest first. Ignore lines that are not results.

        Leave out results of another precision. A line that does not know its precision counts for each.
        """
        with self.file.open(errors="replace") as lines:
            for text in lines:
                try:
                    line = _LINES.validate_json(text)
                    recipe = parse(line.config).recipe  # fills in fields that are newer than the line
                except (ValidationError, ConfigError):
                    continue
                if recipe == self._recipe and line.result.precision in ("auto", self._precision):
                    yield line.result

    def append(self, result: SeedResult) -> None:
        """Append a result. Raise ConfirmError if that fails."""
        line = _Line(self._recipe.model_dump(exclude_none=True), result)
        try:
            with self.file.open("a") as out:
                out.write(json.dumps(asdict(line)) + "\n")
        except OSError as error:
            raise self._unusable(error) from None

    def _unusable(self, error: OSError) -> ConfirmError:
        return ConfirmError(f"cannot write the results to {self.file}: {error.strerror}")


def fingerprint(recipe: RunConfig) -> str:
    """Return eight hexadecimal digits that identify a recipe."""
    return hashlib.sha256(recipe.as_text().encode()).hexdigest()[:8]
