"""The checks of `mnist-sweep doctor`, one by one, and what happens if one fails, hangs or crashes."""

import importlib.metadata
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest

from mnist_sweep.commands import doctor_checks as doctor
from mnist_sweep.commands.doctor_checks import Check, Result, examine
from mnist_sweep.training.fast import kernels


def test_compiled_loops_that_compute_something_else(mnist_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a processor's or a compiler's fault would: the gradients of batch norm are halved."""
    backward = kernels.norm_act_backward

    def wrong(*arguments: object) -> tuple[np.ndarray, ...]:
        return tuple(gradient / 2 for gradient in backward(*arguments))

    assert len(doctor.arithmetic()) == 2
    assert doctor.arithmetic()[-1] == ""
    monkeypatch.setattr(kernels, "norm_act_backward", wrong)
    assert re.search(r"a step in float32 on cpu is \d+\.\d% off: report this table", doctor.arithmetic()[-1])


def test_a_client_that_is_too_new(monkeypatch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: {"wandb": "0.99.0", "rich": "1.0"}.get(name) or version(name)
    )
    found, advice = doctor.client()
    assert found.startswith("wandb 0.99.0 (supported: ")
    assert advice.startswith("run `pip install 'wandb<")
    assert re.search(r"^rich>=\S+ is needed, 1\.0 is installed: run `pip install", doctor.packages()[-1])


def well() -> tuple[str]:
    return ("all is well",)


def broken() -> tuple[str]:
    raise ValueError("nothing to see\nhere")


def hanging() -> tuple[str]:
    time.sleep(600)
    return ("late",)


def crashing() -> tuple[str]:
    os._exit(3)


def test_checks_that_fail_hang_or_crash_leave_the_others_their_turn() -> None:
    begun: list[str] = []
    checks = {
        "a": Check(broken),
        "b": Check(hanging, time_limit=1),
        "c": Check(well),
        "d": Check(crashing),
        "e": Check(well),
    }
    assert list(examine(checks, begun.append)) == [
        Result("a", "", "ValueError: nothing to see"),
        Result("b", "", "no result after 1 s: the machine is too busy, or the check hangs"),
        Result("c", "all is well"),
        Result("d", "", "the check crashed: report this table"),
        Result("e", "all is well"),
    ]
    assert begun == [*"abcde"]


def test_results_come_one_by_one() -> None:
    results = examine({"a": Check(well), "b": Check(hanging, time_limit=600)})
    assert next(results) == Result("a", "all is well")
    results.close()  # which ends the process of the check that hangs
