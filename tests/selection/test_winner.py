"""What a sweep or its finals chose, from invented runs; tests/e2e/test_chain.py chooses among real ones."""

from dataclasses import replace
from typing import Any

import pytest

from mnist_sweep.config import RunConfig, parse
from mnist_sweep.review.fields import sweep_info
from mnist_sweep.review.provenance import Chain, Entrant, Finals
from mnist_sweep.review.ranking import rank
from mnist_sweep.review.records import RunRecord
from mnist_sweep.search.goal import Goal
from mnist_sweep.search.racing import Schedule, plan
from mnist_sweep.selection import finals, winner
from mnist_sweep.selection.finals import FinalsError, Race
from mnist_sweep.selection.winner import WinnerError, find_winner
from mnist_sweep.sweep.remote import Sweep

CONFIG: dict[str, Any] = {
    "name": "mine",
    "method": "random",
    "metric": {"name": "objective", "goal": "minimize"},
    "parameters": {"max_lr": {"min": 0.01, "max": 0.5}, "epochs": {"value": 5}},
}
SWEEP = Sweep(path="e/p/abc12345", url="http://host/e/p/sweeps/abc12345", config=CONFIG)
ROUND = Sweep(
    path="e/p/round123",
    url="",
    config={"name": "finals-abc12345-final", "description": "final of the finals of e/p/abc12345"},
)
NAMED = Sweep(path="e/p/named123", url="", config=CONFIG | {"name": "finals-of-mine"})
BEST = parse({"max_lr": 0.1}).recipe


def run(recipe: RunConfig, replicate: int, objective: float) -> RunRecord:
    config = recipe.model_dump(exclude_none=True) | {"replicate": replicate, "seed": replicate, "epochs": 5}
    summary = {"objective": objective, "val/accuracy": 1 - objective, "complete": True}
    return RunRecord(id=f"{recipe.max_lr}-{replicate}", config=config, summary=summary)


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server with SWEEP, a round of its finals, and a sweep that a person named like finals."""
    sweeps = {each.path.split("/")[-1]: each for each in (SWEEP, ROUND, NAMED)}
    records = [run(BEST, 0, 0.02), run(BEST, 1, 0.021), run(parse({"max_lr": 0.3}).recipe, 0, 0.03)]
    info = sweep_info(CONFIG, id="abc12345", entity="e", project="p")
    rows = (Entrant(name=BEST.as_text(), replicates=6, value=0.02, accuracy=0.9941, finalist=True),)
    played = Finals(
        sweep="abc12345", metric="objective", goal=Goal.MINIMIZE, claim="val/accuracy", schedule="2:1", fresh=6,
        reference="preset=step8", round=2, rounds=2, entrants=2, missing=0, standing=rows,
    )  # fmt: skip
    for module in (winner, finals):
        monkeypatch.setattr(module, "fetch_ranking", lambda sweep: rank(info, records))
    monkeypatch.setattr(winner, "find", lambda path, project: sweeps[path.split("/")[-1]])
    monkeypatch.setattr(winner, "fetch_chain", lambda sweep: Chain(played if sweep is SWEEP else None))


def test_a_sweep_chooses_by_posterior_mean_and_its_choice_is_confirmed_with_15_epochs() -> None:
    found = find_winner("abc12345", "p")
    assert found.recipe == BEST
    assert (found.claim.chosen_by, found.claim.runs, found.claim.note) == ("sweep", 2, "5-epoch trials")
    assert found.claim.observed == pytest.approx(1 - 0.0205)
    assert found.identifier == "abc12345"


def test_with_its_own_epochs_a_claim_needs_no_note() -> None:
    found = find_winner("abc12345", "p", epochs=5)
    assert (found.recipe.epochs, found.claim.note) == (5, "")


@pytest.mark.parametrize("path", ["finals-abc12345", "e/p/finals-abc12345", "round123"])
def test_finals_are_named_by_their_sweep_or_by_a_round(path: str) -> None:
    found = find_winner(path, "p")
    assert (found.recipe, found.claim.chosen_by, found.identifier) == (BEST, "finals", "finals-abc12345")
    assert found.claim.claimed == 0.9941


def test_a_sweep_that_a_person_named_like_finals_is_a_sweep() -> None:
    assert find_winner("named123", "p").claim.chosen_by == "sweep"


def test_finals_that_have_not_ended_are_one_line() -> None:
    with pytest.raises(WinnerError, match="the finals of e/p/named123 have not ended: resume them with mnist-sweep"):
        find_winner("finals-named123", "p")


def test_finals_whose_finalists_all_diverged_chose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    played = winner.fetch_chain(SWEEP).finals
    assert played is not None
    rows = tuple(replace(row, value=None, diverged=2) for row in played.standing)
    monkeypatch.setattr(winner, "fetch_chain", lambda sweep: Chain(replace(played, standing=rows)))
    with pytest.raises(WinnerError, match="every finalist of e/p/abc12345 diverged: confirm e/p/abc12345 itself"):
        find_winner("finals-abc12345", "p")


def test_finals_train_15_epochs_though_the_trials_had_5() -> None:
    """The reference has the same epochs, unless it names its own; the epochs of a preset are not named."""
    race = Race.of(SWEEP, reference="preset=step8")
    assert [(entrant.max_lr, entrant.epochs) for entrant in race.entrants] == [(0.1, 15), (0.3, 15)]
    assert (race.reference.epochs, race.other_trials) == (15, "5-epoch trials")
    short = Race.of(SWEEP, reference="preset=step8", epochs=5)
    assert ([entrant.epochs for entrant in short.entrants], short.reference.epochs) == ([5, 5], 5)
    assert short.other_trials == ""
    assert Race.of(SWEEP, reference="preset=step8 epochs=3").reference.epochs == 3


def test_a_reference_over_the_limit_is_refused_before_it_is_trained() -> None:
    with pytest.raises(FinalsError, match="the reference has 6,379,786 parameters, over its limit"):
        Race.of(SWEEP, reference="preset=step1 over_budget=true")


def test_finals_cost_half_of_what_the_trials_cost_and_use_replicates_that_no_trial_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Race.of(SWEEP, reference="preset=step8").schedule == Schedule((), fresh=2, first=2), "the least"
    assert Race.of(SWEEP, reference="preset=step8", trainings=12).schedule == Schedule((), fresh=6, first=2)

    info = sweep_info(CONFIG, id="abc12345", entity="e", project="p")
    rates = [0.01 * number for number in range(1, 97)]  # 96 trials of 5 epochs cost as much as 32 of 15
    records = [run(parse({"max_lr": rate}).recipe, 0, 0.02 + rate / 100) for rate in rates]
    monkeypatch.setattr(finals, "fetch_ranking", lambda sweep: rank(info, records))
    race = Race.of(SWEEP, reference="preset=step8")
    assert race.schedule == plan(16, 96, 11, first=1)
    assert 0 not in {replicate for number in (1, 2) for replicate in race.schedule.replicates(number)}

    for each in records:  # trained on 40,000 images instead of 55,000: 96 trials cost as much as 23
        each.config["held_out_folds"] = 4
    assert Race.of(SWEEP, reference="preset=step8").schedule == plan(12, 96, 8, first=4)

    records = [run(BEST, 6, 0.02), run(BEST, 7, 0.02)]  # six before them, four behind
    assert Race.of(SWEEP, reference="preset=step8", trainings=30).schedule == plan(30, 1, 6, first=0)

    records = [run(BEST, replicate, 0.02) for replicate in range(12)]  # no replicate is left
    assert Race.of(SWEEP, reference="preset=step8").schedule.first == 0
