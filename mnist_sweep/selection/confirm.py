"""Confirming a chosen configuration: many seeds on all 60,000 training images, each judged once on the test images.

A file of JSON lines is the record, by which a confirmation that was broken off goes on. Where there is a W&B server,
each seed is a run there as well, of job type `confirm`, all of them in one group.
"""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from mnist_sweep.config import RunConfig, parse
from mnist_sweep.environment import environment
from mnist_sweep.errors import UserError
from mnist_sweep.metrics import COMPLETE, DIVERGED, TEST
from mnist_sweep.protocol import EXIT_STOPPED
from mnist_sweep.review.provenance import CLAIM_KEY, CONFIRM_JOB_TYPE, Claim
from mnist_sweep.review.statistics import interval
from mnist_sweep.signals import STOPS, Signals, Terminated, blocked

if TYPE_CHECKING:
    from mnist_sweep.tracking import Tracker

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


@dataclass(frozen=True)
class RunDestination:
    """Where the seeds' runs go on the W&B server in use."""

    entity: str
    """Empty: the user's own."""
    project: str
    group: str
    claim: Claim | None = None
    """What chose the configuration, stored in the configuration of the runs."""
    finished_seeds: frozenset[int] = frozenset()
    """Seeds whose runs are there, whole."""
    url: str = ""
    """The group's page."""

    def resolve(self) -> RunDestination:
        """The same with what the server says: whose it is, which seeds it has, and where they are shown."""
        import wandb

        api = wandb.Api()
        entity = self.entity or str(api.default_entity)
        project = f"{entity}/{self.project}"
        try:
            runs = list(api.runs(project, filters={"group": self.group}, lazy=False))
        except (wandb.errors.Error, ValueError):
            runs = []  # a project that is not there yet
        whole = (run for run in runs if run.summary_metrics.get(COMPLETE) or run.summary_metrics.get(DIVERGED))
        seeds = frozenset(int(run.config["seed"]) for run in whole if "seed" in run.config)
        url = api.project(self.project, entity).url.removesuffix("/workspace")
        return replace(self, entity=entity, finished_seeds=seeds, url=f"{url}/groups/{self.group}")


def group(config: RunConfig, chosen_by: str = "") -> str:
    """The group of a configuration's seeds: what chose it, and its fingerprint; `confirm-1a2b3c4d` for given fields."""
    text = json.dumps(_key(config), sort_keys=True)
    return "-".join(filter(None, (CONFIRM_JOB_TYPE, chosen_by, hashlib.sha256(text.encode()).hexdigest()[:8])))


def confirm(
    config: RunConfig,
    seeds: Sequence[int],
    *,
    processes: int = 1,
    file: Path,
    on_result: Callable[[Confirmed], None],
    reported: RunDestination | None = None,
) -> list[Confirmed]:
    """Train `config` once per seed, `processes` at a time; results are appended to `file` (JSON lines) as they come.

    Seeds that `file` already holds for this configuration are not trained again; `on_result` is told those too. Lines
    that are no results, such as one that an interrupted write cut off, are passed over. With `reported`, every seed is
    a W&B run; one whose result the file held has it without a history.

    Raises:
        ConfirmError: `file` cannot be used, another process confirms `config` into it, or a training process was
            killed; what was done until then is kept.
    """
    _prepare(file)
    with _exclusive_lock(file, config):
        done = {result.seed: result for result in _read(file, config) if result.seed in seeds}
        for result in done.values():
            on_result(result)
        threads = config.threads or max(1, (os.cpu_count() or 1) // processes)
        jobs = [
            _Job(config.model_copy(update={"seed": seed, "threads": threads}).model_dump(), done.get(seed), reported)
            for seed in sorted(seeds, key=lambda seed: seed not in done)
            if seed not in done or (reported is not None and seed not in reported.finished_seeds)
        ]
        context = multiprocessing.get_context("spawn")
        resource_tracker.ensure_running()  # which would unblock signals when the first process starts it
        wanted, unwanted = context.Pipe(duplex=False)
        # `unwanted` is closed where this is left, a killed process included: the trainings end then.
        with environment(_QUIET), ProcessPoolExecutor(processes, context, _begin, (wanted,)) as pool, unwanted:
            try:
                with blocked():
                    futures = [pool.submit(_work, job) for job in jobs]
                for future in as_completed(futures):
                    result = future.result()
                    if result.seed not in done:
                        done[result.seed] = result
                        _append(file, config, result)
                        on_result(result)
            except (BrokenProcessPool, Terminated):
                raise ConfirmError(f"a training process was killed; the seeds done so far are in {file}") from None
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
        return [done[seed] for seed in seeds]


_QUIET = {"WANDB_SILENT": "true", "WANDB_CONSOLE": "off", "WANDB_SERVICE": None, "WANDB_SWEEP_ID": None}
"""The environment of the training processes: each has a service of the client's own, and says nothing of it."""


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
        interval(accuracies),
        min(accuracies),
        max(accuracies),
        sum(accuracy >= TARGET for accuracy in accuracies),
    )


@dataclass(frozen=True)
class _Job:
    """One seed's work in a process of its own."""

    values: dict[str, Any]
    known: Confirmed | None
    """Its result, where it has been trained before."""
    destination: RunDestination | None


_signals = Signals(STOPS)


def _begin(wanted: Connection) -> None:
    """The start of a training process, which ends once nobody wants its work any more."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # a terminal's Ctrl-C is for the parent

    def end() -> None:
        wanted.poll(None)
        while True:  # the first one ends the training, a later one the process
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)

    threading.Thread(target=end, daemon=True).start()


def _work(job: _Job) -> Confirmed:
    """Runs in a process of its own."""
    with _signals.handled():
        return _seed(parse(job.values), job)


def _seed(config: RunConfig, job: _Job) -> Confirmed:
    tracker = None
    try:
        with _signals.deferred():
            tracker = _tracker(config, job.destination) if job.destination is not None else None
            result = job.known or _train(config, tracker)
            if tracker is not None and job.known is not None:
                _restate(config, tracker, job.known)
    except BaseException as error:
        with _signals.deferred(raise_on_exit=False):
            if tracker is not None:
                tracker.finish(EXIT_STOPPED if isinstance(error, tuple(STOPS.values())) else 1)
        raise
    with _signals.deferred(raise_on_exit=False):
        if tracker is not None:
            if (kept := tracker.offline_notice) and os.environ.get("WANDB_MODE") != "offline":
                print(f"seed {config.seed}: {kept}", file=sys.stderr)
            tracker.finish()
    return result


def _tracker(config: RunConfig, reported: RunDestination) -> Tracker:
    from mnist_sweep.tracking import RunIdentity, Tracker

    seed = config.seed
    identity = RunIdentity(
        entity=reported.entity,
        project=reported.project,
        id=f"{reported.group}-{seed}",
        name=f"seed {seed}",
        group=reported.group,
        job_type=CONFIRM_JOB_TYPE,
    )
    return Tracker({} if reported.claim is None else {CLAIM_KEY: reported.claim.stored_config()}, identity=identity)


def _restate(config: RunConfig, tracker: Tracker, known: Confirmed) -> None:
    tracker.configure(config)
    if known.diverged:
        tracker.record_divergence()
    else:
        tracker.copy_result(TEST, known.accuracy, known.best_accuracy, known.best_epoch)


def _train(config: RunConfig, tracker: Tracker | None) -> Confirmed:
    from mnist_sweep.training import engine, mnist

    say = partial(print, file=sys.stderr)
    config = engine.resolve(config, say)
    split = mnist.confirmation_split()
    name = split.evaluate_name
    if tracker is not None:
        tracker.configure(config)

    def on_epoch(epoch: engine.Epoch) -> None:
        if tracker is not None:
            tracker.log(epoch, name)
        _signals.raise_pending()

    started = time.perf_counter()
    fit = engine.fit(config, split, on_step=lambda step: _signals.raise_pending(), on_epoch=on_epoch, say=say)
    seconds = time.perf_counter() - started
    if fit.diverged:
        if tracker is not None:
            tracker.record_divergence(len(fit.history) + 1)
        return Confirmed(config.seed, math.nan, math.nan, 0, seconds, diverged=True)
    if tracker is not None:
        evaluation = fit.evaluation or engine.evaluate(fit.model, split.evaluate, config.precision)
        tracker.record_result(fit, split, evaluation, config)
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


@contextmanager
def _exclusive_lock(file: Path, config: RunConfig) -> Iterator[None]:
    """Nobody else confirms `config` into `file` meanwhile: both would write to the same runs."""
    lock = FileLock(file.with_name(f".{file.name}.{group(config)}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfirmError(f"another process confirms this into {file}: wait for it, or end it") from None
    except OSError as error:
        raise _unusable(file, error) from None
    try:
        yield
    finally:
        with suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()


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
