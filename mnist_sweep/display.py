"""Show the progress of a training: a live bar in a terminal, plain lines elsewhere."""

import math
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from mnist_sweep.config import RunConfig
from mnist_sweep.training.engine import Epoch, Step


def percent(fraction: float | None) -> str:
    """Return 0.9953 as `99.53 %`."""
    return "–" if fraction is None else f"{100 * fraction:.2f} %"


def clock(seconds: float) -> str:
    """Return 78 as `1:18`, and 4980 as `1:23:00`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


class _LossAndTimes(ProgressColumn):
    def render(self, task: Task) -> Text:
        loss = task.fields["loss"]
        parts = [f"loss {loss:.4f}" if math.isfinite(loss) else "loss –"]
        if task.elapsed is not None:
            parts.append(f"{clock(task.elapsed)} elapsed")
        if task.time_remaining is not None:
            parts.append(f"about {clock(task.time_remaining)} left")
        return Text(" · ".join(parts))


class TrainingProgress:
    """A bar for each training that is under way, in a terminal. Elsewhere it shows nothing."""

    def __init__(self, console: Console, epochs: int) -> None:
        self._epochs = epochs
        self._bars: dict[str, TaskID] = {}
        self._ended: set[str] = set()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),  # a line fits 80 columns
            _LossAndTimes(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def start(self, name: str = "") -> None:
        """Add the bar of a training, unless there is one or the training has ended."""
        if name not in self._bars and name not in self._ended:
            self._bars[name] = self._progress.add_task(self._describe(name, 1), total=None, loss=math.nan)

    def update(self, step: Step, name: str = "") -> None:
        """Advance the bar of a training. Ignore a step that arrives after the training's end."""
        if name in self._ended:
            return
        self.start(name)
        self._progress.update(
            self._bars[name],
            description=self._describe(name, step.epoch),
            total=self._epochs * step.steps_per_epoch,
            completed=(step.epoch - 1) * step.steps_per_epoch + step.step,
            loss=step.train_loss,
        )

    def remove(self, name: str) -> None:
        """Remove the bar of a training that has ended."""
        self._ended.add(name)
        if name in self._bars:
            self._progress.remove_task(self._bars.pop(name))

    def _describe(self, name: str, epoch: int) -> str:
        return f"{name} epoch {epoch}/{self._epochs}".lstrip()


class TrainingDisplay(TrainingProgress):
    """The bar and the epochs' lines of one training: a context manager with the two callbacks of `engine.fit`."""

    def __init__(self, config: RunConfig, name: str, console: Console | None = None) -> None:
        """`name` is the prefix of metrics on the evaluation images, such as `val`."""
        self.console = console or Console()
        self.name = name
        super().__init__(self.console, config.epochs)

    def __enter__(self) -> Self:
        super().__enter__()
        self.start()
        return self

    def on_step(self, step: Step) -> None:
        self.update(step)

    def on_epoch(self, epoch: Epoch) -> None:
        evaluated = "" if epoch.loss is None else f"{self.name} {epoch.loss:.4f} [bold]{percent(epoch.accuracy)}[/]  "
        self.console.print(
            f"epoch {epoch.epoch:2}/{self._epochs}  "
            f"train {epoch.train_loss:.4f} {percent(epoch.train_accuracy)}  {evaluated}"
            f"lr {epoch.lr:.2g}  {epoch.images_per_second:,.0f} images/s",
            highlight=False,
        )
