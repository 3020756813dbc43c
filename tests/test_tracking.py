"""Names and numbers; what a run says to W&B is read back in test_train.py."""

from __future__ import annotations

from typing import Any

import pytest

from mnist_sweep.config import parse
from mnist_sweep.tracking import run_name


@pytest.mark.parametrize(
    ("suggestion", "name"),
    [
        ({}, "6720p"),
        ({"max_lr": 0.12, "dropout": 0.03, "augment_strength": 0.8, "c5": 20}, "lr0.12-d0.03-a0.8-7044p"),
        ({"augment_strength": 0.8, "no_aug_epochs": 2}, "a0.8-na2-6720p"),
        ({"max_lr": 0.123456}, "lr0.123-6720p"),
        ({"batch_size": 64, "epochs": 3, "seed": 7}, "b64-e3-s7-6720p"),
        ({"preset": "step6"}, "step6-6124p"),
        ({"preset": "step6", "max_lr": 0.01, "seed": 3}, "step6-s3-6124p"),
        ({"model": "step2"}, "step2-8172p"),
        ({"preset": "step1", "over_budget": True}, "step1-6379786p"),
    ],
    ids=str,
)
def test_a_run_is_named_by_what_was_asked_for(suggestion: dict[str, Any], name: str) -> None:
    assert run_name(suggestion, parse(suggestion)) == name
