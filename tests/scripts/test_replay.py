"""The replay: what a search pays, what it sees, and what it is judged by."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from scripts import replay
from scripts.replay import CHECKPOINTS, DRAWN, draw, summarise, table
from scripts.replay_engines import ENGINES, Session, joint_search, race
from scripts.replay_worlds import World
from scripts.table import SHORT, SHORT_WIDE, WHOLE


def world(*, count: int = 12, replicates: int = 6, noise: float = 0.0, truth: bool = True) -> World:
    """A world in which configuration i truly is i worse than the best, on folds that differ by 10."""
    rng = np.random.default_rng(0)
    gaps = np.arange(count, dtype=float)
    folds = 10.0 * np.arange(replicates)
    losses = gaps[:, None] + folds + rng.normal(0, noise, (count, replicates))
    shape = np.ones((count, replicates))
    return World(
        encoded=np.column_stack([gaps / count, np.zeros(count)]),
        unordered=[False, True],
        losses={WHOLE: losses, SHORT: losses + 100, SHORT_WIDE: losses + 200},
        seconds={WHOLE: 90 * shape, SHORT: 30 * shape, SHORT_WIDE: 25 * shape},
        offsets={kind: folds + gaps.mean() + 100 * place for place, kind in enumerate((WHOLE, SHORT, SHORT_WIDE))},
        truth=gaps - gaps.mean() if truth else None,
    )


def session(of: World) -> Session:
    return Session(of, np.random.default_rng(1))


def test_a_training_costs_its_own_seconds() -> None:
    search = session(world())
    search.train(3, 0, WHOLE)
    search.train(3, 1, SHORT)
    assert search.spent == 120
    assert search.losses == [3.0, 113.0]
    assert search.seen(3) == {0, 1}


def test_a_copy_continues_by_itself() -> None:
    search = session(world())
    search.train(3, 0, WHOLE)
    search.copy().train(4, 0, WHOLE)
    assert search.configurations == [3]


def test_a_table_is_judged_by_the_replicates_that_the_search_never_saw() -> None:
    of = world(truth=False)
    of.losses[WHOLE][2, :3] = -1000  # lucky on what the search sees
    assert of.allowed(2) == [0, 1, 2, 3, 4], "one replicate is kept for judging"
    assert of.gain(2, {0, 1, 2}) == pytest.approx(5.5 - 2)


def test_finals_train_replicates_that_no_trial_had_and_find_the_best() -> None:
    search = session(world())
    for configuration in range(12):
        search.train(configuration, 0, SHORT)
    found = race(search, [5, 4, 3, 2, 1, 0], budget=24 * 90)
    assert found.configuration == 0
    assert found.claim == pytest.approx(-5.5), "below the average configuration"
    finals = [r for r, kind in zip(search.replicates, search.kinds, strict=True) if kind == WHOLE]
    assert 0 not in finals
    assert 12 * 30 + 20 * 90 <= search.spent <= 12 * 30 + 24 * 90


def test_finals_claim_the_mean_of_the_final_alone() -> None:
    of = world()
    of.losses[WHOLE][0, 1:3] = -1000  # lucky in the round that chooses the finalists
    search = session(of)
    search.train(0, 0, SHORT)
    assert race(search, [0, 1, 2, 3], budget=16 * 90).claim == pytest.approx(-5.5)


def test_a_search_at_both_lengths_stays_within_its_budget() -> None:
    search = session(world(count=30, noise=1.0))
    for configuration in range(12):
        search.train(configuration, 0, SHORT)
    joint_search(search, list(range(12)), budget=10 * 90)
    assert 5 * 90 <= search.spent - 12 * 30 <= 10.5 * 90


@pytest.mark.parametrize("name", [name for name in ENGINES if name != "TPE"])
def test_every_engine_selects_at_every_budget(name: str) -> None:
    outcomes = replay.replay(ENGINES[name], world(count=60, noise=1.0), seed=0, checkpoints=(8, 20))
    assert [outcome.budget for outcome in outcomes] == [8, 20]
    assert all(abs(outcome.gain) <= 29.5 for outcome in outcomes)


def rows_of(gain: float, engine: str) -> list[dict[str, object]]:
    steps = range(len(CHECKPOINTS))
    return [
        {
            "world": "w",
            "engine": engine,
            "seed": seed,
            "budgets": list(CHECKPOINTS),
            "gains": [gain + 0.01 * seed for _ in steps],
            "claims": [gain + 0.01 * seed + 1 for _ in steps],
            "top": [1 for _ in steps],
        }
        for seed in range(4)
    ]


def test_ratios_are_paired_and_claims_are_compared_with_the_truth() -> None:
    found = summarise([*rows_of(1.0, "random"), *rows_of(2.0, "TPE")], "w")
    tpe = next(each for each in found if each.engine == "TPE")
    assert tpe.ratio[0] == pytest.approx(2.015 / 1.015)
    assert tpe.over == pytest.approx(1.0)
    assert tpe.ahead == pytest.approx(1.0)
    assert tpe.ahead_half == pytest.approx(0.0, abs=1e-9)
    assert tpe.top[0] == 1.0
    assert 0.5 < tpe.top[1] < 0.52
    assert tpe.top[2] == pytest.approx(1.0), "Wilson's interval ends at 1"
    assert len(list(table(found, 1.0))) == 2 + len(found)
    figure = draw(found, 1.0, 2.0, "w")
    assert figure.count("<polyline") == 2
    assert DRAWN["TPE"][1] in figure
    ElementTree.fromstring(draw(summarise([*rows_of(1.0, "random"), *rows_of(2.0, "W&B's rule")], "w"), 1.0, 2.0, "w"))


def test_no_ratio_to_a_baseline_that_may_gain_nothing() -> None:
    found = summarise([*rows_of(-0.015, "random"), *rows_of(2.0, "TPE")], "w")
    tpe = next(each for each in found if each.engine == "TPE")
    assert np.isnan(tpe.ratio[0])
    assert tpe.ahead == pytest.approx(2.015)
    assert " |  | " in list(table(found, 1.0))[-1]


def test_a_figure_without_intervals_is_refused_in_one_line() -> None:
    for found in ([], summarise(rows_of(1.0, "random")[:1], "w")):
        with pytest.raises(SystemExit, match="--figure needs at least two repetitions of one of: "):
            draw(found, 1.0, 2.0, "w")


def test_a_claim_of_zero_is_a_claim() -> None:
    rows = rows_of(1.0, "random")
    rows[0]["claims"] = [0.0] * len(CHECKPOINTS)
    assert not np.isnan(summarise(rows, "w")[0].over)


def test_a_second_start_repeats_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "rows.jsonl"
    arguments = ["replay", "--engines", "random", "--repetitions", "2", "--file", str(file)]
    monkeypatch.setattr("sys.argv", arguments)
    replay.main()
    once = file.read_text()
    replay.main()
    assert file.read_text() == once
    assert {json.loads(line)["seed"] for line in once.splitlines()} == {0, 1}
    file.write_text(once.replace('"version": "', '"version": "0'))  # of another table
    replay.main()
    assert len(file.read_text().splitlines()) == 4
