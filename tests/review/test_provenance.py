"""A chain read from invented runs; a real one is in tests/e2e/test_chain.py."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean
from typing import Any

import pytest

from mnist_sweep.review import provenance_text
from mnist_sweep.review.provenance import Chain, Difference, read
from mnist_sweep.review.records import RunRecord, SweepInfo
from mnist_sweep.review.statistics import interval

INFO = SweepInfo(id="abc", metric="objective", goal="minimize", url="https://host/e/p/sweeps/abc")
ABOUT = {"finals.sweep": "abc", "finals.metric": "objective", "finals.claim": "val/accuracy"}
ROWS: list[dict[str, Any]] = [
    {"name": "w=1", "parameters": 900, "replicates": 6, "value": 0.017, "accuracy": 0.9955, "finalist": True},
    {"name": "w=2", "replicates": 6, "value": 0.0173, "finalist": True},
    {"name": "w=8", "replicates": 6, "value": 0.022, "finalist": True, "reference": True},
    {"name": "w=3", "replicates": 3, "value": 0.018},
]
ROWS[0]["to_next"] = {"difference": -0.0003, "half": 0.00052, "count": 6, "tie": True}
ROWS[0]["to_reference"] = {"difference": -0.005, "half": 0.001, "count": 6, "tie": False}
FINALS = RunRecord("finals-abc", config=ABOUT, summary={"complete": True, "round": 4, "rounds": 4, "standing": ROWS})
SEEDS = (0.9953, 0.9957, 0.9949)


def seed(value: float | None, group: str = "confirm-finals-abc-1", **config: Any) -> RunRecord:
    about = {"sweep": "abc", "chosen_by": "finals", "configuration": "w=1", "metric": "test/accuracy"}
    about |= {"claim": "val/accuracy", "claimed": 0.9955, "observed": 0.9955, "runs": 6} | config
    summary: dict[str, Any] = {"diverged": True} if value is None else {"test/accuracy": value, "complete": True}
    return RunRecord("r", group=group, config={f"confirms.{key}": one for key, one in about.items()}, summary=summary)


CONFIRMED = [seed(value) for value in SEEDS]


def sentences(*records: RunRecord) -> list[str]:
    return list(provenance_text.sentences(read(INFO, records), INFO.sign))


def test_a_chain_is_its_own_sweeps_runs() -> None:
    other = seed(0.5, sweep="other")
    found = read(INFO, [FINALS, other, *CONFIRMED, seed(None), RunRecord("x", config={"c1": 1})])
    assert found.finals is not None
    assert found.finals.winner is not None
    assert (found.finals.winner.name, found.finals.winner.accuracy) == ("w=1", 0.9955)
    (one,) = found.confirmations
    assert (one.values, one.diverged, one.claimed, one.runs) == (SEEDS, 1, 0.9955, 6)
    assert one.mean == pytest.approx(fmean(SEEDS))
    assert one.half == pytest.approx(4.302653 * 0.0004 / math.sqrt(3), rel=1e-6)  # t, 2 degrees, 97.5 %
    assert one.url == "https://host/e/p/groups/confirm-finals-abc-1"
    assert read(INFO, [other]) == Chain()
    assert read(INFO, [other]).empty


def test_what_is_under_way_is_no_seed_yet() -> None:
    running = replace(CONFIRMED[0], state="running")
    broken_off = replace(CONFIRMED[0], summary={"test/accuracy": 0.9, "complete": False})
    assert read(INFO, [running, broken_off]).confirmations == ()
    assert read(INFO, [*CONFIRMED, running, broken_off]).confirmations[0].values == SEEDS


def test_the_confirmation_that_counts_is_of_the_finals_winner() -> None:
    alone = [seed(0.99, group="g", chosen_by="sweep", configuration="w=5") for _ in range(20)]
    former = [seed(0.98, group="h", configuration="w=2") for _ in range(5)]
    found = read(INFO, [*alone, *former, *CONFIRMED, FINALS])
    assert [one.name for one in found.confirmations] == ["w=1", "w=2", "w=5"]
    assert found.confirmed is not None
    assert found.confirmed.values == SEEDS


@pytest.mark.parametrize("standing", ["text", [1], [{"name": "x"}], {"a": 1}, [{"name": "x", "value": "NaN, says it"}]])
def test_a_standing_that_is_none_is_not_shown(standing: Any) -> None:
    found = read(INFO, [replace(FINALS, summary={"complete": True, "standing": standing, "round": "NaN"})])
    assert found.finals is not None
    assert found.finals.standing == ()
    assert found.finals.round == 0


# --- in words ---------------------------------------------------------------------------------------------------------


def test_the_number_that_counts_is_told_first_then_the_claim_then_the_finals() -> None:
    assert sentences(FINALS, *CONFIRMED) == [
        "Confirmed: 99.53 % ± 0.10 test/accuracy, mean over 3 fresh trainings with its 95 % interval; deviation 0.04, "
        "from 99.49 % to 99.57 %.",
        "The finals claimed 99.55 % val/accuracy of it: fresh trainings differ from that by 0.02 points, which is "
        "within their interval.",
        "Finals over 6 fresh replicates: the first has 0.017 objective, a tie with the second (−0.00030 ± 0.00052 "
        "objective), better than the reference (−0.0050 ± 0.0010 objective).",
    ]


def test_one_replicate_each_is_no_tie() -> None:
    """It decides nothing, and nothing else can be said of it."""
    one = {"difference": 0.036, "half": None, "count": 1, "tie": True}
    rows = [{**ROWS[0], "replicates": 1, "to_next": one, "to_reference": one}, *ROWS[1:]]
    final = RunRecord("finals-abc", config=ABOUT, summary={"complete": True, "round": 4, "rounds": 4, "standing": rows})
    (said,) = sentences(final)
    assert "a tie" not in said
    assert "undecided, by one replicate, against the reference (+0.036 objective)" in said


@pytest.mark.parametrize(("claimed", "how"), [(0.9975, "0.22 points too high"), (0.9935, "0.18 points too low")])
def test_a_claim_that_does_not_hold_is_told(claimed: float, how: str) -> None:
    found = [seed(v, chosen_by="sweep", claimed=claimed, observed=0.998, runs=1) for v in SEEDS]
    assert sentences(*found)[1] == (
        f"The sweep claimed {100 * claimed:.2f} % val/accuracy of it, and had measured 99.80 % (1 run): fresh "
        f"trainings say that this was {how}."
    )


def test_one_seed_has_no_interval_and_a_diverged_one_is_told() -> None:
    assert sentences(CONFIRMED[0], seed(None)) == [
        "Confirmed with one seed: 99.53 % test/accuracy; more seeds say how sure that is. 1 seed diverged and counts "
        "not.",
        "The finals claimed 99.55 % val/accuracy of it: the seed is 0.02 points below the claim.",
    ]


def test_finals_under_way_say_how_far_they_are() -> None:
    summary = {"complete": False, "round": 2, "rounds": 4, "entrants": 10, "missing": 14, "standing": ROWS}
    under_way = replace(FINALS, summary=summary)
    assert sentences(under_way) == [
        "The finals are in round 2 of 4: 10 configurations, 14 trainings to go when it began."
    ]
    assert provenance_text.standing(read(INFO, [under_way]).finals) == []
    steps = provenance_text.steps(read(INFO, [under_way]), "bayes", "the best of 60", "0.016")
    assert [(step["label"], step["value"]) for step in steps] == [
        ("question", "bayes"),
        ("sweep", "0.016"),
        ("finals", "round 2 of 4"),
        ("confirmed", "not yet"),
    ]


def test_the_standing_is_a_table() -> None:
    head, first, second, reference, fourth = provenance_text.standing(read(INFO, [FINALS]).finals)
    assert head[4:6] == ["val/accuracy", "objective"]
    assert first[1:] == ["w=1", "6", "900", "99.55 %", "0.017", "−0.00030 ± 0.00052, a tie", "−0.0050 ± 0.0010"]
    assert second[3:] == ["", "", "0.0173", "", ""]
    assert (reference[1], fourth[1]) == ("the reference: w=8", "w=3")


def test_a_difference_has_as_many_decimals_as_its_interval_says() -> None:
    def shown(value: float, half: float | None) -> str:
        return provenance_text.difference(Difference(value, half, 3, True))

    assert shown(-0.000032, 0.000051) == "−0.000032 ± 0.000051"
    assert shown(12.34, 5.6) == "+12.3 ± 5.6"
    assert shown(0.5, None) == "+0.50"
    assert shown(0.0, None) == "+0"


def test_an_interval_of_one_value_is_not_known() -> None:
    assert math.isnan(interval([1.0]))
    assert interval([1.0, 1.0]) == 0.0
