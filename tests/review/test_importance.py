import math
import random

from mnist_sweep.review.importance import Importance, Sample, measure
from mnist_sweep.review.ranking import rank
from mnist_sweep.review.records import RunRecord, SweepField, SweepInfo
from mnist_sweep.search.goal import Goal

FIELDS = (
    SweepField(name="strong", kind="float", low=0.001, high=1.0, log=True),
    SweepField(name="weak", kind="float", low=0.0, high=1.0),
    SweepField(name="none", kind="float", low=0.0, high=1.0),
    SweepField(name="kind", kind="categorical", choices=("a", "b", "c")),
    SweepField(name="width", kind="int", low=1, high=9),
)
INFO = SweepInfo(id="s", metric="val/accuracy", method="random", fields=FIELDS)


def importance(records: list[RunRecord], info: SweepInfo) -> Importance:
    return measure(Sample.of(rank(info, records)))


def runs(count: int, seed: int, *, goal: float = 1.0) -> list[RunRecord]:
    """A known truth: `strong` explains most, `weak` some, the others nothing."""
    dice = random.Random(seed)
    found = []
    for i in range(count):
        config = {
            "strong": math.exp(dice.uniform(math.log(0.001), 0.0)),
            "weak": dice.random(),
            "none": dice.random(),
            "kind": dice.choice("abc"),
            "width": dice.randint(1, 9),
        }
        place = math.log(config["strong"]) / math.log(0.001)
        value = 0.99 - 0.08 * (place - 0.4) ** 2 + 0.006 * config["weak"] + dice.gauss(0, 0.001)
        found.append(RunRecord(id=f"r{i}", config=config, summary={"val/accuracy": goal * value}))
    return found


def test_the_known_order_is_recovered_and_noise_stays_below_its_line() -> None:
    for seed in range(4):
        found = importance(runs(120, seed), INFO)
        assert list(found.shares)[:2] == ["strong", "weak"]
        assert found.above_noise("strong")
        assert sum(found.above_noise(name) for name in ("none", "kind", "width")) <= 1
        assert sum(found.shares.values()) == 1.0 or abs(sum(found.shares.values()) - 1) < 1e-9
        assert (found.trials, found.warning) == (120, "")


def test_smaller_is_better_works_the_same() -> None:
    mirrored = importance(runs(120, 0, goal=-1.0), SweepInfo(**(vars(INFO) | {"goal": Goal.MINIMIZE})))
    assert mirrored.shares == importance(runs(120, 0), INFO).shares


def test_a_small_sample_says_so_and_a_tiny_one_says_nothing_else() -> None:
    small = importance(runs(12, 0), INFO)
    assert small.shares
    assert small.warning.startswith("12 trials are a small sample for 5 fields")
    tiny = importance(runs(5, 0), INFO)
    assert tiny.shares == {}
    assert tiny.warning.startswith("5 ranked trials are too few")


def test_a_search_that_chose_its_trials_is_pointed_out() -> None:
    found = importance(runs(60, 0), SweepInfo(**(vars(INFO) | {"method": "bayes"})))
    assert "chose these trials itself" in found.warning


def test_fields_that_did_not_vary_are_left_out() -> None:
    fixed = [RunRecord(id=r.id, config={**r.config, "weak": 0.5}, summary=r.summary) for r in runs(40, 0)]
    assert "weak" not in importance(fixed, INFO).shares
