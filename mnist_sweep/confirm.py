"""Confirming a chosen configuration: many seeds on all 60,000 training images, each judged once on the test images."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mnist_sweep.config import RunConfig, parse
from mnist_sweep.errors import UserError

TARGET = 0.994


@dataclass(frozen=True)
class Confirmed:
    """One seed. Accuracies on the 10,000 test images, fractions."""

    seed: int
    accuracy: float
    """After the last epoch: the result."""
    best_accuracy: float
    """Of the best epoch: chosen on the test images, shown only because the study reports it."""
    best_epoch: int
    seconds: float
    diverged: bool = False


@dataclass(frozen=True)
class Statistics:
    """Test accuracy over seeds."""

    seeds: int
    mean: float
    deviation: float
    """Sample standard deviation over the seeds; NaN for one seed."""
    interval: float
    """Half the width of the 95 % interval of the mean (Student's t); NaN for one seed."""
    lowest: float
    highest: float
    at_target: int
    """Seeds with at least TARGET."""


class ConfirmError(UserError, RuntimeError):
    """Nothing could be confirmed; the message is one line for people."""


def confirm(
    config: RunConfig, seeds: Sequence[int], *, processes: int = 1, file: Path, on_result: Callable[[Confirmed], None]
) -> list[Confirmed]:
    """Train `config` once per seed, `processes` at a time; results are appended to `file` (JSON lines) as they come.

    Seeds that `file` already holds for this configuration are not trained again; `on_result` is told those too. Lines
    that are no results, such as one that an interrupted write cut off, are passed over.

    Raises:
        ConfirmError: `file` cannot be used, or a training process was killed; what was done until then is kept.
    """
    _prepare(file)
    done = {result.seed: result for result in _read(file, config) if result.seed in seeds}
    for result in done.values():
        on_result(result)
    todo = [seed for seed in seeds if seed not in done]
    threads = config.threads or max(1, (os.cpu_count() or 1) // processes)
    jobs = [config.model_copy(update={"seed": seed, "threads": threads}).model_dump() for seed in todo]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        try:
            for future in as_completed([pool.submit(_train, job) for job in jobs]):
                result = future.result()
                done[result.seed] = result
                _append(file, config, result)
                on_result(result)
        except BrokenProcessPool:
            raise ConfirmError(f"a training process was killed; the seeds done so far are in {file}") from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return [done[seed] for seed in seeds]


def summarise(results: Sequence[Confirmed]) -> Statistics:
    """Statistics of the seeds that did not diverge. Raises ConfirmError where all did."""
    accuracies = [result.accuracy for result in results if not result.diverged]
    if not accuracies:
        raise ConfirmError("every seed diverged: a lower max_lr may help")
    count = len(accuracies)
    deviation = statistics.stdev(accuracies) if count > 1 else math.nan
    return Statistics(
        count,
        statistics.fmean(accuracies),
        deviation,
        _student(count - 1) * deviation / math.sqrt(count) if count > 1 else math.nan,
        min(accuracies),
        max(accuracies),
        sum(accuracy >= TARGET for accuracy in accuracies),
    )


def _student(freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, freedom))


def _train(values: dict[str, Any]) -> Confirmed:
    """Runs in a process of its own."""
    import time

    from mnist_sweep.training import engine, mnist

    config = parse(values)
    started = time.perf_counter()
    fit = engine.fit(config, mnist.confirmation_split(), say=partial(print, file=sys.stderr))
    seconds = time.perf_counter() - started
    if fit.diverged:
        return Confirmed(config.seed, math.nan, math.nan, 0, seconds, diverged=True)
    return Confirmed(config.seed, fit.history[-1].accuracy, fit.best.accuracy, fit.best.epoch, seconds)


def _key(config: RunConfig) -> dict[str, Any]:
    """What makes two results comparable: everything but seed, fold (there is none) and how the machine was shared."""
    return config.model_dump(exclude={"replicate", "seed", "threads"})


@dataclass(frozen=True)
class _Line:
    """A line of the results file."""

    config: dict[str, Any]
    result: Confirmed


_LINES = TypeAdapter(_Line)


def _prepare(file: Path) -> None:
    """Find out before anything is trained whether results can be kept; end a line that was cut off."""
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
        raise _unusable(file, error) from None


def _read(file: Path, config: RunConfig) -> Iterator[Confirmed]:
    with file.open(errors="replace") as lines:
        for text in lines:
            try:
                line = _LINES.validate_json(text)
            except ValidationError:
                continue
            if _key(RunConfig()) | line.config == _key(config):  # a field newer than the line has its default
                yield line.result


def _append(file: Path, config: RunConfig, result: Confirmed) -> None:
    try:
        with file.open("a") as out:
            out.write(json.dumps(asdict(_Line(_key(config), result))) + "\n")
    except OSError as error:
        raise _unusable(file, error) from None


def _unusable(file: Path, error: OSError) -> ConfirmError:
    return ConfirmError(f"cannot write the results to {file}: {error.strerror}")
