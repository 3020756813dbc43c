import itertools
import math
import statistics

import numpy as np
import pytest

from mnist_sweep.search import racing
from mnist_sweep.search.racing import (
    Noise,
    Round,
    Schedule,
    Stage,
    next_stage,
    noise,
    paired,
    plan,
    value_of_information,
)

RULES = Schedule((Round(4, 2), Round(2, 3)), fresh=2)
ORDER = ["a", "b", "c", "d", "e"]


def play(
    losses: dict[str, dict[int, float]], rules: Schedule = RULES, reference: str | None = "step8"
) -> tuple[list[Stage], dict[str, dict[int, float]]]:
    """Train whatever is missing until nothing is; the stages that had something missing, and the results."""
    results: dict[str, dict[int, float]] = {}
    stages = []
    while (now := next_stage(results, ORDER, rules, reference=reference)).missing:
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
    over = next_stage(results, ORDER, RULES, reference="step8")
    assert (over.is_final, over.missing, over.entrants) == (True, (), ("b", "d", "step8"))


def test_what_is_there_is_not_trained_again() -> None:
    now = next_stage({"a": {0: 1.0}, "c": {0: 2.0, 1: 3.0}}, ORDER, RULES)
    assert now.missing == (("b", 0), ("d", 0), ("a", 1), ("b", 1), ("d", 1))


def test_later_results_do_not_change_an_earlier_round() -> None:
    """Or a contest that goes on would train other things than one that was not interrupted."""
    _, results = play(LOSSES)
    results["b"][3] = results["b"][4] = 100.0
    assert next_stage(results, ORDER, RULES, reference="step8").entrants == ("b", "d", "step8")


def test_one_replicate_each_does_not_overrule_the_order() -> None:
    stages, _ = play(LOSSES, Schedule((Round(4, 1), Round(2, 3)), fresh=2))
    assert stages[1].entrants == ("a", "b")  # d's one number is better than a's
    assert stages[2].entrants[:2] == ("b", "a")  # means over three decide


@pytest.mark.parametrize("replicates", [1, 2])
def test_a_training_that_diverges_loses(replicates: int) -> None:
    losses = LOSSES | {"b": dict.fromkeys(range(5), math.inf)}
    stages, _ = play(losses, Schedule((Round(4, replicates), Round(2, 3)), fresh=2))
    assert "b" not in stages[1].entrants


def test_fewer_entrants_than_places() -> None:
    losses = {"a": LOSSES["a"]}
    results: dict[str, dict[int, float]] = {}
    while (now := next_stage(results, ["a"], RULES)).missing:
        for entrant, replicate in now.missing:
            results.setdefault(entrant, {})[replicate] = losses[entrant][replicate]
    assert now.entrants == ("a",)
    assert sorted(results["a"]) == [0, 1, 2, 3, 4]


def test_a_reference_that_is_a_finalist_is_there_once() -> None:
    stages, _ = play(LOSSES, reference="b")
    assert stages[-1].entrants == stages[-1].finalists == ("b", "d")


def test_a_reference_that_was_eliminated_is_in_the_final_and_no_finalist() -> None:
    stages, _ = play(LOSSES, reference="c")
    assert [stage.finalists for stage in stages] == [(), (), ("b", "d")]
    assert stages[-1].entrants == ("b", "d", "c")


# --- comparing --------------------------------------------------------------------------------------------------------


def test_paired_differences_by_hand() -> None:
    mine, theirs = {0: 1.0, 1: 2.0, 2: 3.0, 9: 7.0}, {0: 1.5, 1: 2.1, 2: 3.6, 8: 0.0}
    differences = [-0.5, -0.1, -0.6]
    scatter = noise({"mine": mine, "theirs": theirs})
    assert scatter.freedom == 2  # as of the differences alone, where there are but two
    assert math.sqrt(2) * scatter.deviation == pytest.approx(statistics.stdev(differences))
    found = paired(mine, theirs, scatter)
    assert found is not None
    assert (found.count, found.difference) == (3, pytest.approx(-0.4))
    assert found.deviation == pytest.approx(statistics.stdev(differences))
    assert found.half == pytest.approx(4.302653 * found.deviation / math.sqrt(3), rel=1e-6)  # t, 2 degrees, 97.5 %
    assert found.tie
    assert paired(mine, {5: 1.0}, scatter) is None
    assert paired(mine, {0: math.inf}, scatter) is None


def test_a_configuration_that_diverged_does_not_lead_by_what_is_left() -> None:
    steady, unsafe = {6: 0.020, 7: 0.021, 8: 0.0205}, {6: 0.015, 7: math.inf, 8: 0.0155}
    scatter = Noise(0.0005, 10)
    assert paired(steady, unsafe, scatter) is None
    assert paired(unsafe, steady, scatter) is None
    assert paired(unsafe, unsafe, scatter) is None
    assert paired({6: 0.020}, unsafe, scatter) is None, "a replicate that only one of them has counts, too"


def test_the_noise_is_learned_from_all_entrants_in_every_round() -> None:
    """A two-way layout by hand: what an entrant and what a replicate does is taken off, the rest is noise."""
    losses = {"a": {0: 1.0, 1: 2.0, 2: 6.0}, "b": {0: 3.0, 1: 6.0, 2: 9.0}}
    residual = np.array([[1.0, 2.0, 6.0], [3.0, 6.0, 9.0]])
    residual += residual.mean() - residual.mean(axis=0) - residual.mean(axis=1, keepdims=True)
    found = noise(losses)
    assert found.freedom == 2
    assert found.deviation == pytest.approx(math.sqrt((residual**2).sum() / 2))
    alone = {"once": {0: 100.0}, "diverged": {0: math.inf, 1: math.inf}, "elsewhere": {7: 1.0}}
    same = noise(losses | alone)
    assert (same.freedom, same.deviation) == (2, pytest.approx(found.deviation))
    more = noise(losses | {"c": {0: 2.0, 1: 3.5, 5: 0.0}, "d": {0: 2.0, 5: 0.0}})
    assert more.freedom == 11 - (4 + 4 - 1)


@pytest.mark.parametrize(
    "results",
    [{}, {"a": {}}, {"a": {0: math.inf}}, {"a": {0: 1.0}}, {"a": {0: 1.0, 1: 3.0}}, {"a": {0: 1.0}, "b": {0: 2.0}}],
)
def test_without_replicates_of_several_the_noise_is_not_known(results: dict[str, dict[int, float]]) -> None:
    unknown = noise(results)
    assert unknown.freedom == 0
    found = paired({0: 1.0}, {0: 2.0}, unknown)
    assert found is not None
    assert (found.count, found.tie, found.half) == (1, True, math.inf)
    assert value_of_information(found) is None


def test_what_all_share_cancels() -> None:
    """Replicates differ by a hundred times what entrants differ by; the paired difference sees only the latter."""
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 100, 6)
    mine = {r: shared[r] + rng.normal(0, 0.1) for r in range(6)}
    theirs = {r: shared[r] + 1 + rng.normal(0, 0.1) for r in range(6)}
    found = paired(mine, theirs, noise({"mine": mine, "theirs": theirs}))
    assert found is not None
    assert not found.tie
    assert found.difference == pytest.approx(-1, abs=0.2)


def test_the_interval_holds_the_truth_as_often_as_it_says_and_two_replicates_are_enough() -> None:
    """A contest of four with two replicates each, two of whom meet on two fresh ones: as `finals` plays them."""
    rng = np.random.default_rng(1)
    inside, halves, alone = 0, [], []
    for _ in range(2_000):
        losses = {
            who: {r: float(rng.normal(level, 1)) for r in range(4 if who in "ab" else 2)}
            for level, who in enumerate("abcd")
        }
        before = {who: {r: losses[who][r] for r in (0, 1)} for who in "abcd"}
        fresh = [{r: losses[who][r] for r in (2, 3)} for who in "ab"]
        found = paired(*fresh, noise(before | dict(enumerate(fresh))))
        assert found is not None
        inside += abs(found.difference + 1) <= found.half
        halves.append(found.half)
        alone.append(12.7062 * statistics.stdev(fresh[0][r] - fresh[1][r] for r in (2, 3)) / math.sqrt(2))
    assert 0.935 < inside / 2_000 < 0.965
    assert statistics.median(halves) < statistics.median(alone) / 2
    assert min(halves) > 20 * min(alone)  # two differences that agree by chance prove nothing


# --- what the next training would buy ---------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("count", "freedom"), [(6, 5), (2, 8)])
def test_worth_is_what_a_simulation_finds(gap: float, count: int, freedom: int) -> None:
    leader = dict.fromkeys(range(count), 0.0)
    second = dict.fromkeys(range(count), gap)
    found = paired(second, leader, Noise(0.33, freedom))
    assert found is not None
    bought = value_of_information(found)
    assert bought is not None
    draws = np.random.default_rng(2).standard_t(freedom, 400_000)
    after = (count * gap + gap + found.deviation * math.sqrt(1 + 1 / count) * draws) / (count + 1)
    assert found.difference == pytest.approx(gap)
    assert bought.change == pytest.approx((after < 0).mean(), abs=0.005)
    assert bought.gain == pytest.approx(np.maximum(-after, 0).mean(), abs=0.001)


def test_worth_of_what_is_decided() -> None:
    sure, unsure = Noise(0.0, 3), Noise(0.5, 1)
    decided, open_ = (paired({0: 2.0, 1: 2.5}, {0: 1.0, 1: 1.0}, scatter) for scatter in (sure, unsure))
    assert decided is not None
    assert open_ is not None
    assert value_of_information(decided) == racing.InformationValue(0.0, 0.0)
    assert value_of_information(open_) is None


@pytest.mark.parametrize("replicates", range(1, 13))
@pytest.mark.parametrize("entrants", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("trainings", [2, 4, 9, 16, 37, 100])
def test_a_plan_halves_the_field_within_its_trainings_and_replicates(
    trainings: int, entrants: int, replicates: int
) -> None:
    found = plan(trainings, entrants, replicates, first=3)
    sizes = [each.entrants for each in found.rounds] + [min(2, entrants)]
    assert sizes[0] <= entrants
    assert all(after == (before + 1) // 2 for before, after in itertools.pairwise(sizes))
    used = [each.replicates for each in found.rounds]
    assert used == sorted(set(used)), "every round adds replicates"
    assert all(count >= 2 for count in used), "one replicate orders nobody"
    assert found.final.start == 3 + (used[-1] if used else 0)
    assert found.final.stop <= 3 + replicates
    added = [
        after - before for before, after in itertools.pairwise([0, *used, (used[-1] if used else 0) + found.fresh])
    ]
    cost = sum(size * count for size, count in zip(sizes, added, strict=True))
    assert cost <= trainings + max(sizes), (found, cost)


def test_a_planned_race_spends_what_it_may_if_there_are_replicates() -> None:
    assert plan(16, 30, 11) == Schedule((Round(4, 2),), fresh=4)
    assert plan(37, 30, 11) == Schedule((Round(9, 2), Round(5, 3), Round(3, 5)), fresh=4)
    assert plan(4, 30, 11) == Schedule((), fresh=2)
