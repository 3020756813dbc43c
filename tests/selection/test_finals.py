"""Finals of invented results; a real race is in tests/e2e/test_finals.py."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mnist_sweep.config import RunConfig, parse
from mnist_sweep.review.records import RunRecord
from mnist_sweep.search.goal import Goal
from mnist_sweep.search.racing import Round, Schedule
from mnist_sweep.selection import estimates, finals
from mnist_sweep.selection.finals import FinalsError, Race, Results, describe, parse_schedule, round_of
from mnist_sweep.sweep.remote import Sweep

SWEEP = Sweep(path="e/p/abc12345", url="http://host/e/p/sweeps/abc12345", config={"name": "mine"})
GOOD, FAIR, POOR = (parse({"max_lr": rate}).recipe for rate in (0.1, 0.2, 0.3))
STEP8 = parse({"preset": "step8"}).recipe


def race(**changes: Any) -> Race:
    given: dict[str, Any] = {
        "sweep": SWEEP,
        "schedule": Schedule((Round(3, 1), Round(2, 3)), fresh=2),
        "entrants": (GOOD, FAIR, POOR),
        "reference": STEP8,
        "metric": "objective",
        "goal": Goal.MINIMIZE,
    }
    return Race(**given | changes)


def measured(*losses: tuple[RunConfig, float], replicates: int = 5) -> Results:
    found = Results()
    for recipe, loss in losses:
        found.losses[recipe] = {r: loss + 0.0001 * r + 0.00001 * (r % 2) for r in range(replicates)}
    return found


def test_a_configuration_is_one_entrant_however_it_is_written() -> None:
    spelled = STEP8.model_dump(exclude_none=True)
    found = Results()
    found.losses[parse(spelled).recipe] = {0: 0.02}
    found.losses[parse({"preset": "step8", "replicate": 3, "device": "cpu"}).recipe][1] = 0.03
    assert found.losses == {STEP8: {0: 0.02, 1: 0.03}}
    assert STEP8.as_text() == "preset=step8"


def test_a_replicate_that_was_trained_twice_has_the_mean_of_both_runs() -> None:
    """As in a sweep over seeds. Runs are read best first, so that the last one was always the worst."""

    def run(seed: int, objective: float | None) -> RunRecord:
        config = parse({"max_lr": 0.1, "seed": seed}).model_dump(exclude_none=True)
        summary = {"diverged": True} if objective is None else {"objective": objective, "val/accuracy": 1 - objective}
        return RunRecord(id=str(seed), config=config, summary=summary)

    found = Results.of([run(0, 0.02), run(1, 0.04)], "objective", Goal.MINIMIZE)
    assert found.losses == {GOOD: {0: pytest.approx(0.03)}}
    assert found.accuracies == {GOOD: {0: pytest.approx(0.97)}}
    assert Results.of([run(0, 0.02), run(1, None)], "objective", Goal.MINIMIZE).losses == {GOOD: {0: math.inf}}


def test_a_sweep_of_another_program_is_refused_before_anything_is_trained() -> None:
    """Its runs have none of the fields, so they would all count as the default configuration."""
    own = {"parameters": {"max_lr": {"min": 0.1, "max": 0.3}, "base": {"value": "dropout=0"}}}
    estimates.check_fields("e/p/own", own)
    estimates.check_fields("e/p/bare", {"name": "mine"})
    foreign = replace(SWEEP, config={"parameters": {"trees": {"values": [20, 40]}, "max_lr": {"value": 0.1}}})
    with pytest.raises(estimates.ForeignSweepError, match="another program: trees cannot be set"):
        Race.of(foreign, reference="preset=step8")


def test_finals_say_who_leads_and_which_round_each_configuration_reached() -> None:
    """The reference wins: it is first in the table, and the winner is still the sweep's best configuration."""
    found = measured((GOOD, 0.02), (FAIR, 0.03), (POOR, 0.04), (STEP8, 0.01))
    outcome = describe(race(), found)
    assert [(row.name, row.round, row.replicates) for row in outcome.standing] == [
        ("preset=step8", 3, 2),
        ("max_lr=0.1", 3, 2),
        ("max_lr=0.2", 3, 2),
    ]  # POOR has one replicate in its last round, which is no result of the finals
    assert outcome.leader is not None
    assert outcome.leader.reference
    assert outcome.winner is not None
    assert outcome.winner.name == "max_lr=0.1"
    assert outcome.winner.to_reference is not None
    assert outcome.winner.to_reference.difference == pytest.approx(0.01)
    assert outcome.complete


def test_the_table_is_ordered_by_round_then_by_result() -> None:
    """A configuration that was better on luck in an earlier round stays below the finalists, and its row says why."""
    found = measured((GOOD, 0.02), (FAIR, 0.03), (POOR, 0.04), (STEP8, 0.05))
    found.losses[POOR] = {0: 0.04, 1: 0.041, 2: 0.0405}
    outcome = describe(race(schedule=Schedule((Round(3, 3),), fresh=2)), found)
    assert [(row.name, row.round, row.finalist) for row in outcome.standing] == [
        ("max_lr=0.1", 2, True),
        ("max_lr=0.2", 2, True),
        ("preset=step8", 2, True),
        ("max_lr=0.3", 1, False),
    ]
    assert outcome.standing[3].value == pytest.approx(0.0405)


def test_finalists_are_compared_even_if_the_reference_ranks_between_them() -> None:
    found = measured((GOOD, 0.02), (FAIR, 0.03), (POOR, 0.04), (STEP8, 0.025))
    first, reference, second = describe(race(), found).standing
    assert first.to_other_finalist is not None
    assert second.to_other_finalist is not None
    assert first.to_other_finalist.difference == -second.to_other_finalist.difference == pytest.approx(-0.01)
    assert reference.to_other_finalist is None
    assert first.to_next == first.to_reference


def test_another_replicate_is_for_the_finalists_even_if_the_reference_was_eliminated() -> None:
    """The reference is an entrant that the first round dropped, and better in the final than the second finalist."""
    found = measured((GOOD, 0.02), (FAIR, 0.03), (POOR, 0.04))
    found.losses[POOR] = {0: 0.04, 1: 0.04, 2: 0.04, 3: 0.0203, 4: 0.0206}
    outcome = describe(race(reference=POOR, schedule=Schedule((Round(3, 3),), fresh=2)), found)
    assert [row.name for row in outcome.standing] == ["max_lr=0.1", "max_lr=0.3", "max_lr=0.2"]
    assert outcome.next_replicate is not None
    assert outcome.next_replicate.change < 1e-3  # of 0.01, far more than the noise; of 0.0001, it would be likely
    alone = race(reference=POOR, schedule=Schedule((Round(3, 3), Round(1, 3)), fresh=2))
    assert describe(alone, found).next_replicate is None  # the rounds left one finalist


def test_a_finalist_that_diverged_is_not_compared() -> None:
    found = measured((GOOD, 0.02), (FAIR, 0.01), (POOR, 0.04), (STEP8, 0.05))
    found.losses[FAIR] |= {3: 0.001, 4: math.inf}
    found.accuracies[FAIR] = {3: 0.999}
    outcome = describe(race(), found)
    assert outcome.winner is not None
    assert (outcome.winner.name, outcome.winner.diverged) == ("max_lr=0.1", 0)
    assert outcome.winner.to_reference is not None
    assert outcome.winner.to_other_finalist is None
    assert outcome.next_replicate is None
    second = outcome.standing[2]
    assert (second.name, second.diverged, second.replicates) == ("max_lr=0.2", 1, 2)
    assert second.value is second.accuracy is second.to_reference is None
    assert outcome.stored_summary()["standing"][2]["diverged"] == 1


def test_a_metric_to_maximise_is_shown_as_it_is() -> None:
    found = measured((GOOD, -0.99), (FAIR, -0.98), (POOR, -0.97), (STEP8, -0.96))
    outcome = describe(race(goal=Goal.MAXIMIZE, metric="val/accuracy"), found)
    assert outcome.leader is not None
    assert outcome.leader.value == pytest.approx(0.99, abs=0.001)
    assert outcome.leader.to_next is not None
    assert outcome.leader.to_next.difference == pytest.approx(0.01)


def test_finals_under_way_have_no_table() -> None:
    outcome = describe(race(), measured((GOOD, 0.02), replicates=1))
    assert (outcome.round, outcome.rounds, outcome.missing, outcome.standing) == (1, 3, 2, ())
    assert not outcome.complete
    assert outcome.winner is None


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"name": "finals-abc12345-round-1", "description": "round-1 of the finals of e/p/abc12345"}, SWEEP.path),
        ({"name": "finals-abc12345-final", "description": "final of the finals of e/p/abc12345"}, SWEEP.path),
        ({"name": "finals-abc12345-round-1"}, ""),
        ({"name": "finals-of-my-project"}, ""),
        ({"name": "finals-2", "description": "the finals of e/p/abc12345"}, ""),
        ({}, ""),
    ],
)
def test_only_what_finals_created_is_a_round_of_them(config: dict[str, str], path: str) -> None:
    assert round_of(Sweep(path="e/p/other", url="", config=config)) == path


def test_a_second_start_of_the_same_finals_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finals, "user_state_path", lambda *_, **__: tmp_path)
    other = race(sweep=Sweep(path="e/p/abc12345", url="http://another-host/e/p/sweeps/abc12345", config={}))
    with race().lock():
        with pytest.raises(FinalsError, match=r"another process runs the finals of e/p/abc12345: wait for it"):  # noqa: SIM117
            with race().lock():
                pass
        with other.lock():
            pass
    with race().lock():
        pass


@pytest.mark.parametrize(
    ("rounds", "fresh", "line"),
    [
        ("ten", 6, r"rounds='ten' should be like 10:3,3:6 \(configurations:replicates in all\)"),
        ("10:3,3:8", 6, r"rounds need 14 replicates with the 6 fresh ones; there are 12"),
        ("10:3,3:2", 6, r"rounds=\[3, 2\] replicates: no round may have fewer replicates than the one before"),
        ("0:1", 1, r"a round needs at least one configuration and one replicate"),
    ],
)
def test_a_schedule_that_cannot_be_run_is_refused(rounds: str, fresh: int, line: str) -> None:
    with pytest.raises(FinalsError, match=line):
        parse_schedule(rounds, fresh)


def test_results_that_were_measured_on_more_folds_are_not_mixed_with_the_finals_own() -> None:
    def run(folds: int, objective: float) -> RunRecord:
        config = {"max_lr": 0.1, "held_out_folds": folds}
        return RunRecord(id=str(folds), config=config, summary={"objective": objective, "complete": True})

    found = Results.of([run(4, 0.03), run(1, 0.02)], "objective", Goal.MINIMIZE)
    assert found.losses == {GOOD: {0: 0.02}}
