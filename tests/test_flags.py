import argparse
from typing import Any

import pytest

from mnist_sweep import flags
from mnist_sweep.config import ConfigError, RunConfig, allowed, parse


def read(*arguments: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    flags.add(parser)
    return flags.given(parser.parse_args(arguments))


def test_nothing_given_is_nothing_set() -> None:
    assert read() == {}


def test_numbers_are_numbers_and_names_are_text() -> None:
    found = read("--max_lr=0.1", "--dropout=0", "--epochs=3", "--model=step2", "--seed", "7", "--device=cuda:1")
    assert found == {"max_lr": 0.1, "dropout": 0.0, "epochs": 3, "model": "step2", "seed": 7, "device": "cuda:1"}
    assert {name: type(value) for name, value in found.items()} == {
        "max_lr": float,
        "dropout": float,
        "epochs": int,
        "model": str,
        "seed": int,
        "device": str,
    }


def test_both_spellings() -> None:
    assert read("--max-lr=0.1", "--cycle-momentum=false") == read("--max_lr=0.1", "--cycle_momentum=false")


@pytest.mark.parametrize("text", ["--nesterov", "--nesterov=True", "--nesterov=true", "--nesterov=1", "--nesterov=yes"])
def test_true(text: str) -> None:
    assert read(text) == {"nesterov": True}


@pytest.mark.parametrize("text", ["--nesterov=False", "--nesterov=false", "--nesterov=0", "--nesterov=no"])
def test_false(text: str) -> None:
    assert read(text) == {"nesterov": False}


def test_none_is_a_value_only_where_it_is_the_default() -> None:
    assert read("--preset=None") == {"preset": None}
    with pytest.raises(ConfigError, match=r"^device='None'"):
        parse(read("--device=None"))


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--epochs=3.5", "epochs=3.5 should be a whole number from 1 to 15"),
        ("--epochs=many", "epochs='many' should be a whole number from 1 to 15"),
        ("--max_lr=fast", "max_lr='fast' should be a number above 0 and up to 5"),
        ("--max_lr=nan", "max_lr=nan should be"),
        ("--device=gpu", "device='gpu' should be auto, cpu, mps, cuda or cuda:N$"),
        ("--nesterov=perhaps", "nesterov='perhaps' should be true or false"),
        ("--model=step9", "model='step9' should be one of tiny, step1"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_own_text(argument: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        parse(read(argument))


def test_what_a_sweep_sends_comes_back() -> None:
    """`wandb agent` writes every parameter as --name=value, in Python's spelling."""
    values = {"max_lr": 1.234e-05, "c1": 9, "nesterov": True, "cycle_momentum": False, "model": "tiny", "dropout": 0.0}
    assert read(*(f"--{name}={value}" for name, value in values.items())) == values


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dropout", "a number from 0 to 0.5"),
        ("max_lr", "a number above 0 and up to 5"),
        ("epochs", "a whole number from 1 to 15"),
        ("momentum", "a number at least 0 and below 1"),
        ("seed", "a whole number from 0 to 2,147,483,647"),
        ("final_div_factor", "a number from 1 to 100,000,000"),
        ("precision", "auto, float32, bfloat16"),
        ("nesterov", "true or false"),
    ],
)
def test_allowed_values_in_words(name: str, words: str) -> None:
    assert allowed(RunConfig.model_fields[name]) == words


def test_every_field_says_what_it_is() -> None:
    for name, field in RunConfig.model_fields.items():
        assert field.description, name
        assert allowed(field), name
