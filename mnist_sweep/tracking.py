"""Report a run to Weights & Biases. No other module of the training side talks to W&B."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import wandb

from mnist_sweep import metrics
from mnist_sweep.config import PROJECT, OverBudgetError, RunConfig
from mnist_sweep.connection import waiting
from mnist_sweep.connection.waiting import ServerUnavailable
from mnist_sweep.environment import environment
from mnist_sweep.errors import first_line
from mnist_sweep.training.calibration import calibrated_loss
from mnist_sweep.training.engine import Epoch, Evaluation, Fit
from mnist_sweep.training.mnist import Split

MISCLASSIFIED_ROWS = 30
"""Misclassified images to upload, the most confident mistakes first. Each costs a file."""


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """Which run to create, or to resume if it exists."""

    entity: str
    project: str
    id: str
    name: str
    group: str
    job_type: str

    def options(self) -> dict[str, Any]:
        """Return arguments for `wandb.init`. Without an entity, the run belongs to the user's own."""
        return {name: value for name, value in asdict(self).items() if value}


class Tracker:
    """One W&B run.

    A trial of a sweep waits for its server. Any other run stays on disk if no server accepts it, and then
    `offline_notice` says so.
    """

    def __init__(
        self,
        overrides: Mapping[str, Any],
        *,
        stop: Callable[[], None] | None = None,
        identity: RunIdentity | None = None,
    ) -> None:
        """Start a run whose config is what an agent assigned, updated with `overrides`.

        Args:
            stop: called in another thread if the server wants the run to end.
            identity: which run it is, unless an agent or a scheduler names the run.

        Raises:
            ServerUnavailable: the server of a sweep stays unavailable.
        """
        # An agent, or a scheduler that requeues a job, names the run: the same run is resumed.
        resume: Literal["allow"] | None = "allow" if identity or os.environ.get("WANDB_RUN_ID") else None
        options: dict[str, Any] = {"config": dict(overrides)}
        if identity is not None:
            options |= identity.options()
        elif not (os.environ.get("WANDB_PROJECT") or os.environ.get("WANDB_SWEEP_ID")):
            options["project"] = PROJECT
        known = wandb.setup().settings
        self._url = known.base_url
        self._retry_policy = waiting.retry_policy(self._url) if known.sweep_id and known.mode == "online" else None
        self._settings = _settings(stop, None if self._retry_policy is None else self._retry_policy.limit)
        self._offline_because = f"W&B's mode is {known.mode}"

        def start() -> wandb.Run:
            return _init(**options, resume=resume, settings=self._settings)

        if self._retry_policy is not None:
            self.run = self._retry_policy.retry_until_available(start)
        else:
            try:
                self.run = start()
            except (wandb.errors.CommError, wandb.errors.AuthenticationError) as error:
                answers = not waiting.why_unavailable(self._url)
                refused = f"{self._url} does not take this run: {first_line(error)}"
                self._offline_because = refused if answers else f"{self._url} does not answer"
                self.run = wandb.init(**options, mode="offline", settings=self._settings)
        self.given: dict[str, Any] = dict(self.run.config)
        """The flat configuration as W&B has it, not yet validated."""
        self._config: RunConfig | None = None
        self._past_rows = self.run.starting_step
        self._rows: list[dict[str, Any]] = []

    def configure(self, config: RunConfig) -> None:
        """Record the whole configuration, and chart metrics over epochs. The run keeps the name that W&B gave it."""
        self._config = config
        whole = config.model_dump(exclude_none=True)
        self.run.config.update({k: v for k, v in whole.items() if self.given.get(k) != v}, allow_val_change=True)
        if config.baseline:
            self.run.tags = (*(self.run.tags or ()), metrics.BASELINE)
        self.run.define_metric(metrics.EPOCH, hidden=True)
        for pattern in metrics.PER_EPOCH:
            self.run.define_metric(pattern, step_metric=metrics.EPOCH)
        # Only `record_result` sets it to true: the state of a run that ended early may still be "finished".
        self.run.summary.update({**_budget(config.parameters, config.parameter_limit), metrics.COMPLETE: False})

    def record_over_budget(self, error: OverBudgetError) -> None:
        """Record a trial over budget. It has no metric, so the search learns that it is infeasible."""
        self.run.summary.update({**_budget(error.parameters, error.limit), metrics.REASON: str(error)})

    def log(self, epoch: Epoch, name: str) -> None:
        """Log one row of history, unless a resumed run already has it. `name` is `val` or `test`."""
        row = {
            metrics.EPOCH: epoch.epoch,
            metrics.TRAIN_LOSS: epoch.train_loss,
            metrics.TRAIN_ACCURACY: epoch.train_accuracy,
            f"{name}/loss": epoch.loss,
            f"{name}/accuracy": epoch.accuracy,
            metrics.LEARNING_RATE: epoch.lr,
            metrics.IMAGES_PER_SECOND: epoch.images_per_second,
        }
        row = {key: value for key, value in row.items() if value is not None}
        self._rows.append(row)
        if epoch.epoch > self._past_rows:
            try:
                self.run.log(row)
            except Exception as error:
                if not _service_lost(error):
                    raise
                self._reconnect()

    def _reconnect(self) -> None:
        """Resume the run with another background service of the client, after the first one was killed.

        A scheduler that ends a job sends SIGTERM to all of its processes. The service is one of them. It ends at once
        and loses the rows that it had not sent, so this sends them again.
        """
        os.environ.pop("WANDB_SERVICE", None)
        try:
            wandb.teardown()  # makes the client forget the dead connection
        except Exception as error:
            if not _service_lost(error):
                raise
        named: dict[str, Any] = {"entity": self.run.entity, "project": self.run.project, "id": self.run.id}
        if os.environ.get("WANDB_SWEEP_ID"):  # the environment names the run
            named = {}
        self.run = wandb.init(**named, resume="allow", settings=self._settings)
        if self._config is not None:
            self.configure(self._config)
        for row in self._rows:
            if row[metrics.EPOCH] > self.run.starting_step:
                self.run.log(row)

    def record_result(self, fit: Fit, split: Split, evaluation: Evaluation, config: RunConfig) -> None:
        """Record that the run completed, its confusion matrix, the misclassified images and the weights.

        On the held-out images, record the objective and the best epoch, too: nothing is chosen by the test images.
        The confusion matrix, images and weights need a server; if a sweep's server stays unavailable, the run on disk
        lacks them.
        """
        if split.evaluate_name == metrics.HELD_OUT:
            # In a row of its own after the last epoch, so that a sweep sees one value of a run, and none of a live run.
            self.run.log({metrics.OBJECTIVE: calibrated_loss(evaluation.logits, split.evaluate.labels.cpu())})
            best = {metrics.best_accuracy(metrics.HELD_OUT): fit.best.accuracy, metrics.BEST_EPOCH: fit.best.epoch}
            self.run.summary.update(best)
        self.run.summary.update({metrics.COMPLETE: True})

        def illustrate() -> None:
            self._illustrate(fit, split, evaluation, config)

        if self._retry_policy is None:
            illustrate()
        else:  # the client asks the server before it takes a table or an artifact
            with suppress(ServerUnavailable):
                self._retry_policy.retry_until_available(illustrate)

    def _illustrate(self, fit: Fit, split: Split, evaluation: Evaluation, config: RunConfig) -> None:
        name = split.evaluate_name
        self.run.summary.update(
            {
                f"{name}/confusion": _confusion(split, evaluation),
                f"{name}/misclassified": _misclassified(split, evaluation),
            }
        )
        artifact = wandb.Artifact(
            f"model-{self.run.id}",
            type="model",
            description=f"Weights of a network with {config.parameters:,} parameters",
            metadata={**config.model_dump(), "parameters": config.parameters, f"{name}/accuracy": evaluation.accuracy},
        )
        import torch  # not before `mnist_sweep.training`, which says how its threads wait

        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder) / "model.pt"
            torch.save(fit.model.state_dict(), weights)
            artifact.add_file(str(weights))
            self.run.log_artifact(artifact)

    def copy_result(self, metric: str, value: float) -> None:
        """Record the result of an earlier training of the same run."""
        self.run.summary.update({metric: value, metrics.COMPLETE: True})

    def record_divergence(self, epoch: int | None = None) -> None:
        """Record that the loss was not finite, in `epoch` if that is known. The run has no metric."""
        where = "" if epoch is None else f" in epoch {epoch}"
        self.run.summary.update({metrics.DIVERGED: True, metrics.REASON: f"the loss was not finite{where}"})

    def finish(self, exit_code: int = 0, *, checkpoint: Path | None = None) -> None:
        """End the run. With `checkpoint`, upload that, and let the server hand the trial out again."""
        try:
            self._end(exit_code, checkpoint)
        except Exception as error:
            if not _service_lost(error):
                raise
            self._reconnect()
            self._end(exit_code, checkpoint)

    def _end(self, exit_code: int, checkpoint: Path | None) -> None:
        if checkpoint is not None:
            self.run.mark_preempting()
            self._save_checkpoint(checkpoint)
        self.run.finish(exit_code=exit_code)

    def _save_checkpoint(self, checkpoint: Path) -> None:
        """Upload the checkpoint, because another machine may not see this one's disk."""
        if checkpoint.exists() and not self.run.offline and not waiting.why_unavailable(self._url):
            artifact = wandb.Artifact(self._checkpoint_artifact, type="checkpoint")
            artifact.add_file(str(checkpoint), name="checkpoint.pt")
            self.run.log_artifact(artifact)

    def restore_checkpoint(self, checkpoint: Path) -> None:
        """Download the checkpoint of an interrupted run, unless this machine has it."""
        if checkpoint.exists() or not self._past_rows or self.run.offline:
            return
        name = f"{self.run.entity}/{self.run.project}/{self._checkpoint_artifact}:latest"
        try:
            with tempfile.TemporaryDirectory() as folder:
                wandb.Api().artifact(name).download(folder)
                checkpoint.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(Path(folder) / "checkpoint.pt", checkpoint)
        except (wandb.errors.Error, ValueError, OSError):
            return  # Without a checkpoint the training starts again, with the same metrics.

    @property
    def _checkpoint_artifact(self) -> str:
        return f"checkpoint-{self.run.id}"

    @property
    def checkpoint_name(self) -> str:
        """The file name of this run's checkpoint, which stays the same when the run is resumed."""
        parts = (self.run.entity or "local", self.run.project, self.run.id)
        return re.sub(r"[^\w.-]", "_", "-".join(parts)) + ".pt"

    @property
    def offline_notice(self) -> str:
        """Why the run stays on disk and how to upload it; empty for a run that a server has."""
        if not self.run.offline:
            return ""
        return f"{self._offline_because}; the run is on disk. To upload it: wandb sync {Path(self.run.dir).parent}"


def upsert_run(identity: RunIdentity, config: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
    """Create a run that trains nothing, or replace what it reported before. Wait while its server is unavailable.

    Raise ServerUnavailable if the server stays unavailable.
    """

    def upsert() -> bool:
        settings = wandb.Settings(console="off", silent=True)
        with _init(**identity.options(), config=dict(config), resume="allow", settings=settings) as run:
            run.config.update(dict(config), allow_val_change=True)
            run.summary.update(dict(summary))
        wandb.teardown()
        return True

    with environment({"WANDB_SILENT": "true", "WANDB_SWEEP_ID": None}):
        waiting.retry_policy(wandb.setup().settings.base_url).retry_until_available(upsert)


def _init(**options: Any) -> wandb.Run:
    """Start a run. If that fails, make the client forget what it began."""
    try:
        return wandb.init(**options)
    except Exception:
        wandb.teardown()
        raise


def _settings(stop: Callable[[], None] | None, limit: float | None) -> wandb.Settings:
    """Return settings with which an unavailable server does not hold a run for hours.

    `limit` is how long to wait for the server at the end, in seconds. Older clients lack some of the settings.
    """
    wanted: dict[str, Any] = {"init_timeout": 30, "finish_timeout": limit or 120, "stop_fn": stop}
    return wandb.Settings(**{k: v for k, v in wanted.items() if k in wandb.Settings.model_fields})


def _service_lost(error: Exception) -> bool:
    """Return whether the client's background service does not answer any more. Its error classes are private."""
    if isinstance(error, wandb.errors.UsageError):
        return False
    return isinstance(error, OSError | wandb.errors.Error) or type(error).__module__.startswith("wandb.sdk.")


def _budget(parameters: int, limit: int) -> dict[str, Any]:
    return {
        metrics.PARAMETERS: parameters,
        metrics.FEASIBLE: parameters < limit,
        metrics.PARAMETERS_OVER_LIMIT: parameters - (limit - 1),  # above zero is infeasible
    }


def _confusion(split: Split, evaluation: Evaluation) -> wandb.Table:
    pairs = split.evaluate.labels.cpu() * 10 + evaluation.predictions
    counts = pairs.bincount(minlength=100).tolist()
    return wandb.Table(["label", "prediction", "count"], [[i // 10, i % 10, n] for i, n in enumerate(counts)])


def _misclassified(split: Split, evaluation: Evaluation) -> wandb.Table:
    labels = split.evaluate.labels.cpu()
    missed = (evaluation.predictions != labels).nonzero().squeeze(1)
    surest = missed[evaluation.confidences[missed].argsort(descending=True)][:MISCLASSIFIED_ROWS].tolist()
    return wandb.Table(
        ["index", "image", "label", "prediction", "confidence"],
        [
            [
                int(split.evaluate_index[i]),
                wandb.Image(split.evaluate.images[i].cpu().numpy()),
                int(labels[i]),
                int(evaluation.predictions[i]),
                round(float(evaluation.confidences[i]), 4),
            ]
            for i in surest
        ],
    )
