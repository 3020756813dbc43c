"""What a person sees while a network trains: a live bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mnist_sweep.config import RunConfig
from mnist_sweep.training.engine import Epoch, Step


def percent(fraction: float | None) -> str:
    """0.9953 -> `99.53 %`."""
    return "–" if fraction is None else f"{100 * fraction:.2f} %"


class TrainingDisplay:
    """Context manager with the two callbacks of `engine.fit`."""

    def __init__(self, config: RunConfig, name: str, console: Console | None = None) -> None:
        self.console = console or Console()
        self.config = config
        self.name = name
        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.4f}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.task = self.progress.add_task("train", total=None, epoch=f"1/{config.epochs}", loss=float("nan"))

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.progress.stop()

    def on_step(self, step: Step) -> None:
        done = (step.epoch - 1) * step.steps_per_epoch + step.step
        self.progress.update(
            self.task,
            total=self.config.epochs * step.steps_per_epoch,
            completed=done,
            epoch=f"{step.epoch}/{self.config.epochs}",
            loss=step.train_loss,
        )

    def on_epoch(self, epoch: Epoch) -> None:
        self.console.print(
            f"epoch {epoch.epoch:2}/{self.config.epochs}  "
            f"train {epoch.train_loss:.4f} {percent(epoch.train_accuracy)}  "
            f"{self.name} {epoch.loss:.4f} [bold]{percent(epoch.accuracy)}[/]  "
            f"lr {epoch.lr:.2g}  {epoch.images_per_second:,.0f} images/s",
            highlight=False,
        )
