import io
import re
from dataclasses import replace

from rich.console import Console

from mnist_sweep.config import RunConfig
from mnist_sweep.display import TrainingDisplay, TrainingProgress, clock, percent
from mnist_sweep.training.engine import Epoch, Step

EPOCH = Epoch(3, 0.1234567, 0.9512, 0.0567891, 0.98765, 0.012345, 23_456.7)


def shown(*, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
    with TrainingDisplay(RunConfig(epochs=15), "val", console) as display:
        display.on_step(Step(3, 50, 430, 0.2))
        display.on_epoch(EPOCH)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_plain_lines_where_there_is_no_terminal() -> None:
    assert shown(terminal=False) == (
        "epoch  3/15  train 0.1235 95.12 %  val 0.0568 98.77 %  lr 0.012  23,457 images/s\n"
    )


def test_a_bar_in_a_terminal() -> None:
    text = shown(terminal=True)
    assert "epoch 3/15" in text  # the bar
    assert "98.77 %" in text  # the line


def test_before_the_first_step_the_bar_has_no_loss_and_later_names_its_times() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with TrainingDisplay(RunConfig(epochs=15), "val", console) as display:
        display._progress.refresh()
        first = console.file.getvalue()  # type: ignore[attr-defined]
        display.on_step(Step(1, 100, 430, 0.2))
        display.on_step(Step(1, 200, 430, 0.1234))
        display._progress.refresh()
        later = console.file.getvalue()[len(first) :]  # type: ignore[attr-defined]
    assert "epoch 1/15" in first
    assert re.search(r"loss – · \d:\d\d elapsed", first)
    assert "nan" not in first
    assert re.search(r"loss 0\.1234 · \d:\d\d elapsed · about \d+:\d\d(:\d\d)? left", later)


def test_a_line_fits_80_columns_and_a_late_step_adds_no_bar() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with TrainingProgress(console, 15) as progress:
        for number in (100, 200):
            progress.update(Step(12, number, 430, 0.1234), "seed 19 ")
        progress._progress.refresh()
        shown = console.file.getvalue()  # type: ignore[attr-defined]
        progress.remove("seed 19 ")
        progress.update(Step(15, 430, 430, 0.1), "seed 19 ")
        assert not progress._progress.tasks
    assert "seed 19  epoch 12/15" in shown
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).splitlines()
    assert all("left" in line or "elapsed" in line for line in lines if line.strip())


def test_a_clock_has_hours_only_if_needed() -> None:
    assert [clock(seconds) for seconds in (0, 78.4, 3_599.6, 4_980)] == ["0:00", "1:18", "1:00:00", "1:23:00"]


def test_an_epoch_that_was_not_evaluated_has_no_result() -> None:
    console = Console(file=io.StringIO(), width=120)
    TrainingDisplay(RunConfig(epochs=15), "test", console).on_epoch(replace(EPOCH, loss=None, accuracy=None))
    assert "test" not in console.file.getvalue()  # type: ignore[attr-defined]


def test_per_cent() -> None:
    assert [percent(value) for value in (0.99531, 1.0, 0.0, None)] == ["99.53 %", "100.00 %", "0.00 %", "–"]
