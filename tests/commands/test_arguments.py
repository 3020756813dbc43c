"""Arguments that several commands share, in a parser of their own."""

import argparse

import pytest

from mnist_sweep.commands.arguments import MAX_TRIALS, add_agents, add_count, add_sweep, whole_number
from mnist_sweep.flags import Parser


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = Parser(prog="program")
    add_sweep(parser)
    add_count(parser)
    add_agents(parser, per_gpu=True)
    return parser


def test_the_defaults_are_one_agent_and_all_trials(parser: argparse.ArgumentParser) -> None:
    assert vars(parser.parse_args(["e/p/abc"])) == {
        "sweep": "e/p/abc", "count": None, "agents": 1, "agents_per_gpu": None, "oversubscribe": False,
    }  # fmt: skip


def test_only_some_commands_have_agents_per_gpu() -> None:
    parser = argparse.ArgumentParser()
    add_agents(parser, "seeds")
    assert "agents_per_gpu" not in vars(parser.parse_args([]))
    assert "seeds side by side, limited by cores and free memory" in " ".join(parser.format_help().split())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["abc", "--agents=257"], "argument --agents: '257' is not a whole number from 1 to 256"),
        (["abc", "--agents-per-gpu=65"], "argument --agents-per-gpu: '65' is not a whole number from 1 to 64"),
        (["abc", "--agents=2", "--agents-per-gpu=2"], "argument --agents-per-gpu: not allowed with argument --agents"),
        (["--count=3"], "the following arguments are required: SWEEP"),
    ],
    ids=str,
)
def test_mistakes_are_one_line(
    parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"error: {reason} (see program --help)\n"


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("1000000", MAX_TRIALS), ("007", 7)])
def test_whole_numbers(text: str, value: int) -> None:
    assert whole_number(MAX_TRIALS)(text) == value


@pytest.mark.parametrize("text", ["", "0", "-1", "+1", "1.0", "1e3", " 1", "1_0", "²", "1000001", "9" * 5000])
def test_what_is_no_whole_number_in_the_range_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"is not a whole number from 1 to 1,000,000$"):
        whole_number(MAX_TRIALS)(text)
