"""The recorded results in docs/results are valid and agree with the published report."""

import json
import random
from typing import Any

import pytest

from mnist_sweep.config import REPLICATES, parse
from scripts.objective import (
    CHOSEN,
    FILE,
    NUMBERS,
    SHORT,
    configurations,
    correlations,
    coverage,
    differences,
    jobs,
    report,
    rows,
)

RESULTS = sorted(file for file in FILE.parent.glob("*.jsonl") if file.name not in {"table.jsonl", "replay.jsonl"})


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.name)
def test_every_line_has_a_whole_configuration(file: Any) -> None:
    for line in map(json.loads, file.read_text().splitlines()):
        if line.get("summary", {}).get("feasible") is False:  # a suggestion that was refused
            continue
        config = parse(line["config"])
        assert config.parameters < config.parameter_limit or config.over_budget


def test_the_objective_study_is_of_the_configurations_it_names() -> None:
    for row in rows(FILE):
        config = parse(row["config"])
        asked = parse(configurations()[row["name"]] | {"replicate": config.replicate, "epochs": config.epochs})
        assert asked.recipe == config.recipe, "a preset is the fields that it stands for"
        if not row["diverged"]:
            assert len(row["history"]) == config.epochs
            assert row["accuracy"] == row["history"][-1]["accuracy"]
            assert row["calibrated_loss"] <= row["loss"]


def test_the_objective_study_is_paired_however_early_it_stops() -> None:
    asked = [(values["replicate"], values["epochs"], name) for name, values in jobs(REPLICATES)]
    assert len(set(asked)) == len(asked)
    ten = len(configurations())
    assert [replicate for replicate, *_ in asked] == sorted(replicate for replicate, *_ in asked)
    for start in range(0, len(asked), ten):
        assert len({(replicate, epochs) for replicate, epochs, _ in asked[start : start + ten]}) == 1


def made_up(quality: dict[str, float], *, loss_tells: bool) -> list[dict[str, Any]]:
    """Four replicates. The accuracy is upside down on the first; the loss tells everywhere, or nowhere."""
    found = []
    for replicate in range(4):
        for name, value in quality.items():
            accuracy = 1 - value if replicate == 0 else value
            loss = 1 - value if loss_tells else value
            last = {"accuracy": accuracy, "loss": loss}
            row = {
                "name": name,
                "diverged": False,
                "config": {"replicate": replicate, "epochs": 15},
                "history": [last] * 3,
            }
            found.append(row | last | {"calibrated_loss": loss})
    return found


@pytest.mark.parametrize("loss_tells", [True, False])
def test_rank_correlations(loss_tells: bool) -> None:
    quality = {name: rank / 100 for rank, name in enumerate(configurations())}
    found = correlations(made_up(quality, loss_tells=loss_tells), 15)
    assert set(found) == set(NUMBERS)
    assert found["accuracy"] == pytest.approx([-1, 1, 1, 1])
    assert found["loss"] == pytest.approx([1 if loss_tells else -1] * 4)
    assert correlations(made_up(quality, loss_tells=True), SHORT)["loss"] == []


def test_a_difference_that_one_configuration_makes_is_not_taken_for_one() -> None:
    quality = {name: rank / 100 for rank, name in enumerate(configurations())}
    same = made_up(quality, loss_tells=True)
    assert differences(same, 15)[CHOSEN] == (0, 0)
    less, error = differences(same, 15)["accuracy"]  # upside down on one of four replicates, for every configuration
    assert (less, error) == pytest.approx((-0.5, 0), abs=1e-6)
    for row in same:
        if row["name"] == list(quality)[-1] and row["config"]["replicate"] > 0:
            row["calibrated_loss"] = 9.0
    less, error = differences(same, 15)["accuracy"]
    assert error > 0.1


def test_an_interval_is_trusted_where_the_other_replicates_say_the_same() -> None:
    """What ten differ by is a hundred times the noise, but for two that are alike."""
    quality = {name: rank / 10 for rank, name in enumerate(configurations())}
    first, second, *_ = quality
    dice = random.Random(0)
    found = made_up(quality | {second: quality[first]}, loss_tells=True)
    for row in found:
        row["calibrated_loss"] += dice.gauss(0, 0.001)
    alone, pooled = coverage(found, 4, 2).values()
    pairs = 1 / 45  # of all, those two
    assert pooled.decided == pytest.approx(1 - pairs, abs=0.01)
    assert pooled.wrong < 0.01
    assert pooled.half < alone.half / 2
    for one in (alone, pooled):
        assert 0.85 < one.holds < 1


def test_the_page_says_what_the_report_says(capsys: pytest.CaptureFixture[str]) -> None:
    """Each row of the page joins a number's correlation and difference at 15 epochs with those at 5."""
    report(FILE)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()]
    page = (FILE.parents[1] / "measuring.md").read_text()
    for number in NUMBERS:
        long, short = (row for row in cells if row[0] == number)
        name = "objective" if number == CHOSEN else number
        assert f"| {name} | {long[1]} | {long[3]} | {short[1]} | {short[3]} |" in page
