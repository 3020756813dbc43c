import re

import pytest

from mnist_sweep.config import FIELD_GROUPS
from tests.conftest import RunCommand


def test_show_prints_the_layers(run_command: RunCommand) -> None:
    code, out, err = run_command("show", "--preset=step8")
    assert (code, err) == (0, "")
    assert "step8: 6,720 parameters" in out
    rows = [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in out.splitlines() if "│" in line]
    assert rows[0] == ["conv3x3 1->8", "8 x 26 x 26", "72", "3"]
    assert rows[-1] == ["conv1x1 16->10", "10 x 1 x 1", "160", "28"]


def test_show_shows_what_is_over_budget_and_fails(run_command: RunCommand) -> None:
    code, out, _ = run_command("show", "--preset=step1")
    assert code == 1
    assert "step1: 6,379,786 parameters" in out
    assert out.splitlines()[-1] == "over the limit of fewer than 10,000 parameters"
    assert run_command("show", "--preset=step1", "--over_budget")[0] == 0


@pytest.mark.parametrize("command", ["train", "show", "confirm"])
def test_help_groups_the_fields_and_shows_an_example(command: str, run_command: RunCommand) -> None:
    text = " ".join(run_command(command, "--help")[1].split())
    titles = set(FIELD_GROUPS) - ({"replicate"} if command == "confirm" else set())
    assert {title for title in FIELD_GROUPS if f"{title} fields:" in text} == titles
    assert text.startswith(f"usage: mnist-sweep {command} ")
    assert text.index("[--FIELD VALUE …]") < 120  # the fields are in their groups, not in the usage
    assert "Example: mnist-sweep" in text
    assert "[False]" not in text
    assert "(true or false; default false)" in text
