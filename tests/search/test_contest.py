from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from mnist_sweep.search import contest
from mnist_sweep.search.contest import Round, Rules, Stage, paired, stage, worth

RULES = Rules((Round(4, 2), Round(2, 3)), fresh=2)
ORDER = ["a", "b", "c", "d", "e"]


def play(
    losses: dict[str, dict[int, float]], rules: Rules = RULES, reference: str | None = "step8"
) -> tuple[list[Stage], dict[str, dict[int, float]]]:
    """Train whatever is missing until nothing is; the stages that had something missing, and the results."""
    results: dict[str, dict[int, float]] = {}
    stages = []
    while (now := stage(results, ORDER, rules, reference=reference)).missing:
        stages.append(now)
        for entrant, replicate in now.missing:
            assert replicate not in results.setdefault(entrant, {})
            results[entrant][replicate] = losses[entrant][replicate]
    return stages, results


LOSSES = {
    name: {r: level + 0.01 * r for r in range(5)}
    for name, level in {"a": 3.0, "b": 1.0, "c": 4.0, "d": 2.0, "e": 0.0, "step8": 5.0}.items()
}


def test_rounds_halve_the_field_and_the_final_is_fresh() -> None:
    stages, results = play(LOSSES)
    assert [(s.number, s.is_final, s.entrants) for s in stages] == [
        (1, False, ("a", "b", "c", "d")),  # e is not among the four most promising
        (2, False, ("b", "d")),
        (3, True, ("b", "d", "step8")),
    ]
    assert stages[1].missing == (("b", 2), ("d", 2))  # replicates 0 and 1 are there
    assert stages[2].missing == tuple((entrant, r) for r in (3, 4) for entrant in ("b", "d", "step8"))
    assert sum(map(len, results.values())) == 8 + 2 + 6
    over = stage(results, ORDER, RULES, reference="step8")
    assert (over.is_final, over.missing, over.entrants) == (True, (), ("b", "d", "step8"))


def test_what_is_there_is_not_trained_again() -> None:
    now = stage({"a": {0: 1.0}, "c": {0: 2.0, 1: 3.0}}, ORDER, RULES)
    assert now.missing == (("b", 0), ("d", 0), ("a", 1), ("b", 1), ("d", 1))


def test_later_results_do_not_change_an_earlier_round() -> None:
    """Or a contest that goes on would train other things than one that was not interrupted."""
    _, results = play(LOSSES)
    results["b"][3] = results["b"][4] = 100.0
    assert stage(results, ORDER, RULES, reference="step8").entrants == ("b", "d", "step8")


def test_one_replicate_each_does_not_overrule_the_order() -> None:
    stages, _ = play(LOSSES, Rules((Round(4, 1), Round(2, 3)), fresh=2))
    assert stages[1].entrants == ("a", "b")  # d's one number is better than a's
    assert stages[2].entrants[:2] == ("b", "a")  # means over three decide


@pytest.mark.parametrize("replicates", [1, 2])
def test_a_training_that_diverges_loses(replicates: int) -> None:
    losses = LOSSES | {"b": dict.fromkeys(range(5), math.inf)}
    stages, _ = play(losses, Rules((Round(4, replicates), Round(2, 3)), fresh=2))
    assert "b" not in stages[1].entrants


def test_fewer_entrants_than_places() -> None:
    losses = {"a": LOSSES["a"]}
    results: dict[str, dict[int, float]] = {}
    while (now := stage(results, ["a"], RULES)).missing:
        for entrant, replicate in now.missing:
            results.setdefault(entrant, {})[replicate] = losses[entrant][replicate]
    assert now.entrants == ("a",)
    assert sorted(results["a"]) == [0, 1, 2, 3, 4]


def test_a_reference_that_is_a_finalist_is_there_once() -> None:
    stages, _ = play(LOSSES, reference="b")
    assert stages[-1].entrants == ("b", "d")


# --- comparing --------------------------------------------------------------------------------------------------------


def test_paired_differences_by_hand() -> None:
    mine, theirs = {0: 1.0, 1: 2.0, 2: 3.0, 9: 7.0}, {0: 1.5, 1: 2.1, 2: 3.6, 8: 0.0}
    found = paired(mine, theirs)
    assert found is not None
    assert (found.count, found.difference) == (3, pytest.approx(-0.4))
    assert found.deviation == pytest.approx(statistics.stdev([-0.5, -0.1, -0.6]))
    assert found.half == pytest.approx(4.302653 * found.deviation / math.sqrt(3), rel=1e-6)  # t, 2 degrees, 97.5 %
    assert found.tie
    only = paired(mine, theirs, [2, 8])
    assert only is not None
    assert (only.count, only.tie, only.half) == (1, True, math.inf)
    assert paired(mine, {5: 1.0}) is None
    assert paired(mine, {0: math.inf}) is None


def test_what_all_share_cancels() -> None:
    """Replicates differ by a hundred times what entrants differ by; the paired difference sees only the latter."""
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 100, 6)
    mine = {r: shared[r] + rng.normal(0, 0.1) for r in range(6)}
    theirs = {r: shared[r] + 1 + rng.normal(0, 0.1) for r in range(6)}
    found = paired(mine, theirs)
    assert found is not None
    assert not found.tie
    assert found.difference == pytest.approx(-1, abs=0.2)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(2_000):
        found = paired(dict(enumerate(rng.normal(0.3, 1, 4))), dict(enumerate(rng.normal(0, 1, 4))))
        assert found is not None
        inside += abs(found.difference - 0.3) <= found.half
    assert 0.935 < inside / 2_000 < 0.965


# --- what the next training would buy ---------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [0.0, 0.3, 1.0])
def test_worth_is_what_a_simulation_finds(gap: float) -> None:
    leader = dict(enumerate([0.0, 0.4, -0.3, 0.2, -0.5, 0.2]))
    second = {r: leader[r] + gap + d for r, d in enumerate([0.5, -0.7, 0.1, 0.3, -0.4, 0.2])}
    found, pair = worth(leader, second, range(6)), paired(second, leader)
    assert found is not None
    assert pair is not None
    draws = np.random.default_rng(2).standard_t(5, 400_000)
    after = (6 * gap + gap + pair.deviation * math.sqrt(1 + 1 / 6) * draws) / 7
    assert pair.difference == pytest.approx(gap)
    assert found.change == pytest.approx((after < 0).mean(), abs=0.005)
    assert found.gain == pytest.approx(np.maximum(-after, 0).mean(), abs=0.001)


def test_worth_of_what_is_decided() -> None:
    assert worth({0: 1.0, 1: 1.0}, {0: 2.0, 1: 2.5}, range(2)) is None
    assert worth(dict.fromkeys(range(4), 1.0), dict.fromkeys(range(4), 2.0), range(4)) == contest.Worth(0.0, 0.0)
