"""`mnist-sweep train`: what it refuses, and where it reports to."""

import re
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from mnist_sweep import train
from mnist_sweep.connection import connect
from tests.conftest import RunCommand


def test_over_budget_is_one_line_and_nothing_is_trained(run_command: RunCommand) -> None:
    code, out, err = run_command("train", "--preset=step1")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"error: 6,379,786 parameters, the limit is fewer than 10,000; most are in .*\n", err)


@pytest.mark.parametrize(("mode", "connections"), [("online", 1), (None, 1), ("offline", 0), ("disabled", 0)])
def test_only_a_run_that_is_sent_needs_a_server(
    run_command: RunCommand,
    mnist_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str | None,
    connections: int,
) -> None:
    trained: list[Mapping[str, Any]] = []
    connected: list[object] = []

    def run(overrides: Mapping[str, Any]) -> int:
        trained.append(overrides)
        return 7

    def connected_server(say: object) -> nullcontext[None]:
        connected.append(say)
        return nullcontext()

    monkeypatch.setattr(train, "run", run)
    monkeypatch.setattr(connect, "connected_server", connected_server)
    if mode is None:
        monkeypatch.delenv("WANDB_MODE", raising=False)
    else:
        monkeypatch.setenv("WANDB_MODE", mode)
    assert run_command("train", "--preset=step8", "--epochs=5") == (7, "", "")
    assert trained == [{"preset": "step8", "epochs": 5}]
    assert len(connected) == connections
