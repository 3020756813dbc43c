"""Confirm a configuration: train many seeds on all 60,000 training images, and judge each once on the test images.

A file of JSON lines is the record (`confirm_record`), by which an interrupted confirmation resumes. If there is a W&B
server, each seed is also a run there, of job type `confirm`. The runs of one configuration form a group.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_sweep.cluster import task as cluster
from mnist_sweep.config import RunConfig, parse
from mnist_sweep.connection import waiting
from mnist_sweep.environment import environment
from mnist_sweep.metrics import COMPLETE, DIVERGED, TEST_ACCURACY
from mnist_sweep.protocol import EXIT_STOPPED
from mnist_sweep.review.provenance import CLAIM_KEY, CONFIRM_JOB_TYPE, Claim, Confirmation
from mnist_sweep.selection.confirm_record import ConfirmError, ConfirmRecord, SeedResult, fingerprint
from mnist_sweep.signals import STOPS, Signals, Terminated, blocked

if TYPE_CHECKING:
    from mnist_sweep.tracking import Tracker
    from mnist_sweep.training.engine import Step

TARGET = 0.994
"""Test accuracy that a seed should reach, a fraction."""


@dataclass(frozen=True, kw_only=True)
class RunDestination:
    """Where the seeds' runs go on the connected W&B server."""

    entity: str
    """Empty for the user's own."""
    project: str
    group: str
    claim: Claim | None = None
    """What chose the configuration, stored in the configuration of the runs."""
    finished_seeds: frozenset[int] = frozenset()
    """Seeds whose runs on the server are complete."""
    url: str = ""
    """The group's page."""

    def resolve(self) -> RunDestination:
        """Return the destination with what the server knows: the entity, the finished seeds and the group's page.

        Wait while the server is unavailable. Raise ServerUnavailable if it stays so.
        """
        import wandb

        return waiting.retry_policy(wandb.setup().settings.base_url).retry_until_available(self._resolve)

    def _resolve(self) -> RunDestination:
        import wandb

        api = wandb.Api()
        entity = self.entity or str(api.default_entity)
        project = f"{entity}/{self.project}"
        try:
            runs = list(api.runs(project, filters={"group": self.group}, lazy=False))
        except (wandb.errors.Error, ValueError) as error:
            if waiting.unanswered(error):
                raise
            runs = []  # the project does not exist yet
        whole = (run for run in runs if run.summary_metrics.get(COMPLETE) or run.summary_metrics.get(DIVERGED))
        seeds = frozenset(int(run.config["seed"]) for run in whole if "seed" in run.config)
        url = api.project(self.project, entity).url.removesuffix("/workspace")
        return replace(self, entity=entity, finished_seeds=seeds, url=f"{url}/groups/{self.group}")


def resolve_precision(config: RunConfig) -> RunConfig:
    """Return `config` with the precision that this machine chooses for `auto`. Results of each are kept apart.

    Raise ConfigError if the machine does not have the device.
    """
    if config.precision != "auto":
        return config
    from mnist_sweep.training import engine

    return config.model_copy(update={"precision": engine.resolve(config).precision})


def group(config: RunConfig, chosen_by: str = "") -> str:
    """Return the group of a configuration's seeds, such as `confirm-1a2b3c4d` or `confirm-finals-abc-1a2b3c4d`.

    Seeds in bfloat16 have a group of their own, with `-bfloat16` at its end.
    """
    suffix = "bfloat16" if config.precision == "bfloat16" else ""
    return "-".join(filter(None, (CONFIRM_JOB_TYPE, chosen_by, fingerprint(config.recipe), suffix)))


def confirm(
    config: RunConfig,
    seeds: Sequence[int],
    *,
    processes: int = 1,
    file: Path,
    on_result: Callable[[SeedResult], None],
    on_progress: Callable[[int, Step | None], None] = lambda seed, step: None,
    destination: RunDestination | None = None,
) -> list[SeedResult]:
    """Train `config` once per seed, `processes` at a time, and append each result to `file` (JSON lines).

    Seeds that `file` holds for this configuration and precision are not trained again; `on_result` receives those, too.
    With `destination`, every seed is a W&B run. A run whose result was in the file has no history.

    Args:
        on_progress: called in another thread with a seed and its newest step; None when a process takes the seed.

    Raises:
        ConfigError: the machine does not have the device or the precision.
        ConfirmError: `file` cannot be used, another process confirms `config` into it, or a training process was
            killed. The results until then are kept.
    """
    config = resolve_precision(config)
    record = ConfirmRecord(file, config)
    with record.lock():
        done = {result.seed: result for result in record.read() if result.seed in seeds}
        for result in done.values():
            on_result(result)
        threads = config.threads or max(1, cluster.cores() // processes)
        jobs = [
            _Job(config.model_copy(update={"seed": seed, "threads": threads}).model_dump(), done.get(seed), destination)
            for seed in sorted(seeds, key=lambda seed: seed not in done)
            if seed not in done or (destination is not None and seed not in destination.finished_seeds)
        ]

        def keep(result: SeedResult) -> None:
            if result.seed not in done:
                done[result.seed] = result
                record.append(result)
                on_result(result)

        try:
            _run(jobs, processes, keep, on_progress)
        except (BrokenProcessPool, Terminated):
            raise ConfirmError(f"a training process was killed; the seeds done so far are in {file}") from None
        return [done[seed] for seed in seeds]


def summarise(
    results: Sequence[SeedResult], configuration: RunConfig | str, destination: RunDestination | None = None
) -> Confirmation:
    """Return the confirmation that the seeds amount to. Raise ConfirmError if all of them diverged."""
    values = tuple(result.accuracy for result in results if not result.diverged)
    if not values:
        raise ConfirmError("every seed diverged: a lower max_lr may help")
    return Confirmation(
        configuration=configuration if isinstance(configuration, str) else configuration.recipe.as_text(),
        metric=TEST_ACCURACY,
        values=values,
        diverged=len(results) - len(values),
        claim=None if destination is None else destination.claim,
        group="" if destination is None else destination.group,
        url="" if destination is None else destination.url,
    )


@dataclass(frozen=True)
class _Job:
    """The work of one seed."""

    values: dict[str, Any]
    known: SeedResult | None
    """Its result, if it was trained before."""
    destination: RunDestination | None


_QUIET = {"WANDB_SILENT": "true", "WANDB_CONSOLE": "off", "WANDB_SERVICE": None, "WANDB_SWEEP_ID": None}
"""Environment of the training processes: each has a client's service of its own, which prints nothing."""


def _run(
    jobs: Sequence[_Job],
    processes: int,
    on_result: Callable[[SeedResult], None],
    on_progress: Callable[[int, Step | None], None],
) -> None:
    """Run the jobs in `processes` processes. If this is interrupted, end those processes before it returns."""
    context = multiprocessing.get_context("spawn")
    resource_tracker.ensure_running()  # the first process would start it otherwise, and unblock signals
    wanted, keep_open = context.Pipe(duplex=False)
    progress, report = context.Pipe(duplex=False)
    threading.Thread(target=_receive, args=(progress, on_progress), daemon=True).start()
    with environment(_QUIET), keep_open, report:
        pool = ProcessPoolExecutor(processes, context, _begin, (wanted, report))
        try:
            with blocked():
                futures = [pool.submit(_work, job) for job in jobs]
            for future in as_completed(futures):
                on_result(future.result())
        except BaseException:
            keep_open.close()  # ends the trainings; they end as well if this process is killed
            raise
        finally:
            # Once, and with `wait`: a second call would let the pool start the jobs that this one cancels.
            pool.shutdown(wait=True, cancel_futures=True)


def _receive(progress: Connection, on_progress: Callable[[int, Step | None], None]) -> None:
    while True:
        try:
            seed, step = progress.recv()
        except EOFError:
            return
        on_progress(seed, step)


# What follows runs in the training processes.

_signals = Signals(STOPS)
_wanted: Connection | None = None
"""Its other end is closed once nobody wants this process's work."""
_report: Connection | None = None
"""Takes a seed and its newest step, or None when the process takes the seed."""


def _begin(wanted: Connection, report: Connection) -> None:
    """Start a training process, which ends with its parent or when the other end of `wanted` is closed."""
    from mnist_sweep.agents.child import end_with_parent, own_process_group

    global _wanted, _report
    _wanted, _report = wanted, report
    own_process_group()
    end_with_parent(signal.SIGTERM, wanted)


def _work(job: _Job) -> SeedResult:
    with _signals.handled():
        if _wanted is None or _wanted.poll():
            raise Terminated  # a seed that has not begun creates no run
        if _report is not None and job.known is None:
            _report.send((job.values["seed"], None))
        return _seed(parse(job.values), job)


def _seed(config: RunConfig, job: _Job) -> SeedResult:
    tracker = None
    try:
        with _signals.deferred():
            tracker = _tracker(config, job.destination) if job.destination is not None else None
            if job.known is not None and tracker is not None:
                _copy_result(config, tracker, job.known)
        result = job.known or _train(config, tracker)
    except BaseException as error:
        with _signals.deferred(raise_on_exit=False):
            if tracker is not None:
                tracker.finish(EXIT_STOPPED if isinstance(error, tuple(STOPS.values())) else 1)
        raise
    with _signals.deferred(raise_on_exit=False):
        if tracker is not None:
            if (notice := tracker.offline_notice) and os.environ.get("WANDB_MODE") != "offline":
                print(f"seed {config.seed}: {notice}", file=sys.stderr)
            tracker.finish()
    return result


def _tracker(config: RunConfig, destination: RunDestination) -> Tracker:
    from mnist_sweep.tracking import RunIdentity, Tracker

    identity = RunIdentity(
        entity=destination.entity,
        project=destination.project,
        id=f"{destination.group}-{config.seed}",
        name=f"seed {config.seed}",
        group=destination.group,
        job_type=CONFIRM_JOB_TYPE,
    )
    claim = destination.claim
    return Tracker({} if claim is None else {CLAIM_KEY: claim.stored_config()}, identity=identity)


def _copy_result(config: RunConfig, tracker: Tracker, known: SeedResult) -> None:
    tracker.configure(config.model_copy(update={"precision": known.precision}))
    if known.diverged:
        tracker.record_divergence()
    else:
        tracker.copy_result(TEST_ACCURACY, known.accuracy)


def _train(config: RunConfig, tracker: Tracker | None) -> SeedResult:
    from mnist_sweep.train import fit_and_report
    from mnist_sweep.training import engine, mnist

    say = partial(print, file=sys.stderr)
    config = engine.resolve(config, say)
    split = mnist.confirmation_split(config.deskew)
    if tracker is not None:
        with _signals.deferred():
            tracker.configure(config)

    def on_step(step: engine.Step) -> None:
        if _report is not None:
            _report.send((config.seed, step))  # small enough for one atomic write, which needs no lock

    started = time.perf_counter()
    fit = fit_and_report(config, split, tracker, _signals, on_step=on_step, evaluate_last_only=True, say=say)
    accuracy = math.nan if fit.diverged or fit.evaluation is None else fit.evaluation.accuracy
    return SeedResult(
        seed=config.seed,
        accuracy=accuracy,
        seconds=time.perf_counter() - started,
        diverged=fit.diverged,
        precision=config.precision,
    )
