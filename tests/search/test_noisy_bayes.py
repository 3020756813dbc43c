"""Where runs are noisy: what is repeated, what is believed, and what is chosen in the end."""

from typing import Any

import numpy as np
import pytest

from mnist_sweep.search import SweepConfig, Trial, check, parse, posterior, suggest

NOISE = 0.5


def config(replicates: Any = None, **more: Any) -> SweepConfig:
    searched = {"x": {"min": 0.0, "max": 1.0}, "kind": {"values": ["a", "b"]}}
    raw = {
        "method": "bayes",
        "metric": {"name": "acc", "goal": "maximize"},
        "parameters": searched | {"replicate": replicates or {"min": 0, "max": 5}},
    }
    assert check(raw | more) == []
    return parse(raw | more)


def truth(params: Any) -> float:
    return -4 * (params["x"] - 0.3) ** 2 + (0.5 if params["kind"] == "b" else 0.0)


def sweep(sought: SweepConfig, n: int, seed: int = 0) -> list[Trial]:
    rng = np.random.default_rng(seed)
    trials: list[Trial] = []
    for number in range(n):
        params = suggest(sought, trials, seed=seed)
        assert params is not None
        summary = {"acc": truth(params) + float(rng.normal(0, NOISE))}
        trials.append(Trial(str(number), params, "finished", [summary], summary))
    return trials


def test_a_noisy_peak_is_found_its_best_is_repeated_and_the_claim_is_honest() -> None:
    found = []
    for seed in range(2):
        trials = sweep(config(), 40, seed)
        best = posterior(config(), trials)[0]
        assert "replicate" not in best.params
        found.append((truth(best.params), best.mean))
        pairs = [(t.params["x"], t.params["kind"], t.params["replicate"]) for t in trials]
        assert len(set(pairs)) == len(pairs), "no replicate of a configuration is run twice"
    assert np.mean([true for true, _ in found]) > 0.3
    assert np.mean([claim - true for true, claim in found]) == pytest.approx(0.0, abs=0.2)
    assert max(t.summary["acc"] for t in trials) > found[-1][1] + 0.2, "a lucky run claims more"


def test_the_same_question_has_the_same_answer() -> None:
    trials = sweep(config(), 14)
    assert suggest(config(), trials, seed=3) == suggest(config(), trials, seed=3)


def test_replicates_of_a_configuration_are_pooled() -> None:
    """One lucky run says less than five good ones."""
    runs = [({"x": 0.2, "kind": "a"}, 0, 1.5)]
    runs += [({"x": 0.8, "kind": "b"}, r, 1.0 + 0.01 * r) for r in range(5)]
    runs += [({"x": 0.5, "kind": "a"}, r, (-1.0) ** r) for r in range(6)]
    trials = [
        Trial(str(i), params | {"replicate": r}, "finished", [], {"acc": value})
        for i, (params, r, value) in enumerate(runs)
    ]
    beliefs = posterior(config(), trials)
    assert [len(belief.runs) for belief in beliefs if belief.params["kind"] == "b"] == [5]
    lucky = next(belief for belief in beliefs if belief.params["x"] == 0.2)
    steady = next(belief for belief in beliefs if belief.params["x"] == 0.8)
    assert lucky.mean < 1.5
    assert steady.deviation < lucky.deviation


def test_a_constant_replicate_means_noise_without_repeats() -> None:
    trials = sweep(config({"value": 0}), 16)
    assert {trial.params["replicate"] for trial in trials} == {0}
    assert len({(trial.params["x"], trial.params["kind"]) for trial in trials}) == 16


def test_a_constraint_is_kept() -> None:
    trials: list[Trial] = []
    for number in range(30):
        params = suggest(config(), trials, seed=0)
        assert params is not None
        over = params["x"] - 0.25
        summary = {"constraint/x": over} | ({"acc": truth(params)} if over <= 0 else {})
        trials.append(Trial(str(number), params, "finished", [summary], summary))
    late = [trial.summary["constraint/x"] > 0 for trial in trials[18:]]
    assert sum(late) <= 3
    assert all(belief.params["x"] <= 0.25 for belief in posterior(config(), trials))


def test_without_runs_there_is_nothing_to_believe_and_with_one_its_value() -> None:
    assert posterior(config(), []) == []
    one = Trial("a", {"x": 0.5, "kind": "a", "replicate": 0}, "finished", [], {"acc": 0.7})
    (belief,) = posterior(config(), [one])
    assert (belief.mean, belief.deviation, belief.runs) == (0.7, float("inf"), ("a",))


def test_a_sweep_over_replicates_alone_hands_out_each_once_then_repeats() -> None:
    """Nothing is left to rank: the sweep measures the noise of one configuration."""
    alone = config(parameters={"replicate": {"values": list(range(12))}, "x": {"value": 0.1}})
    trials: list[Trial] = []
    while len(trials) < 13:
        params = suggest(alone, trials, seed=0)
        assert params is not None
        assert params["x"] == 0.1
        trials.append(Trial(str(len(trials)), params, "finished", [], {"acc": 0.9 + 0.001 * len(trials)}))
    assert sorted(trial.params["replicate"] for trial in trials[:12]) == list(range(12))


def test_more_replicates_than_memory_are_not_listed() -> None:
    seeds = config({"min": 0, "max": 2**62})
    assert [trial.params["replicate"] for trial in sweep(seeds, 3)] == [0, 1, 2]
