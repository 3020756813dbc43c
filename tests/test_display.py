from __future__ import annotations

import io

from rich.console import Console

from mnist_sweep.config import RunConfig
from mnist_sweep.display import TrainingDisplay, percent
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


def test_per_cent() -> None:
    assert [percent(value) for value in (0.99531, 1.0, 0.0, None)] == ["99.53 %", "100.00 %", "0.00 %", "–"]
