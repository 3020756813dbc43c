"""A chain read from invented runs; a real one is in tests/e2e/test_chain.py."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from statistics import fmean
from typing import Any

import pytest

from mnist_sweep.review import provenance_text
from mnist_sweep.review.provenance import Chain, Difference, NextReplicate, read
from mnist_sweep.review.records import RunRecord, SweepInfo, flatten
from mnist_sweep.review.statistics import interval
from mnist_sweep.search.goal import Goal

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
FINALS = RunRecord(id="finals-abc", config=ABOUT, summary={"complete": True, "round": 4, "rounds": 4, "standing": ROWS})
TABLE_NOTE = (
    "In the table of the finals, configurations that reached a later round come first. Each ± is the 95 % interval of "
    "a paired difference; a smaller difference is a tie."
)
SEEDS = (0.9953, 0.9957, 0.9949)


def seed(value: float | None, group: str = "confirm-finals-abc-1", **config: Any) -> RunRecord:
    about = {"sweep": "abc", "chosen_by": "finals", "configuration": "w=1", "metric": "test/accuracy"}
    about |= {"claim": "val/accuracy", "claimed": 0.9955, "observed": 0.9955, "runs": 6} | config
    summary: dict[str, Any] = {"diverged": True} if value is None else {"test/accuracy": value, "complete": True}
    return RunRecord(
        id="r", group=group, config={f"confirms.{key}": one for key, one in about.items()}, summary=summary
    )


CONFIRMED = [seed(value) for value in SEEDS]


def sentences(*records: RunRecord) -> list[str]:
    return list(provenance_text.sentences(read(INFO, records)))


def test_a_chain_is_its_own_sweeps_runs() -> None:
    other = seed(0.5, sweep="other")
    found = read(INFO, [FINALS, other, *CONFIRMED, seed(None), RunRecord(id="x", config={"c1": 1})])
    assert found.finals is not None
    assert found.finals.winner is not None
    assert (found.finals.winner.name, found.finals.winner.accuracy) == ("w=1", 0.9955)
    (one,) = found.confirmations
    assert (one.values, one.diverged) == (SEEDS, 1)
    assert one.claim is not None
    assert (one.claim.claimed, one.claim.runs) == (0.9955, 6)
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
    assert [one.configuration for one in found.confirmations] == ["w=1", "w=2", "w=5"]
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
        "Confirmed: 99.53 % ± 0.10 test/accuracy, the mean of 3 seeds with its 95 % interval. The standard deviation "
        "is 0.04, and the seeds range from 99.49 % to 99.57 %.",
        "The finals claimed 99.55 % val/accuracy. The confirmation differs from that by 0.02 points, which is within "
        "its interval.",
        "The sweep's best configuration leads the finals: 0.01700 objective, the mean of 6 fresh replicates.",
        "The sweep's best configuration is better than the reference by 0.0050 ± 0.0010 objective: certain at the "
        "95 % level.",
        "The sweep's best configuration is better than the second by 0.00030 ± 0.00052 objective: a tie, because the "
        "95 % interval contains zero.",
        TABLE_NOTE,
    ]


def test_a_reference_that_wins_is_said_to_lead() -> None:
    worse = {"difference": 0.049, "half": 0.01, "count": 6, "tie": False}
    rows = [{**ROWS[2], "value": 0.017}, {**ROWS[0], "value": 0.066, "to_next": None, "to_reference": worse}, ROWS[3]]
    finals = RunRecord(id="finals-abc", config=ABOUT, summary={"complete": True, "rounds": 4, "standing": rows})
    assert sentences(finals)[:2] == [
        "The reference leads the finals: 0.01700 objective, the mean of 6 fresh replicates.",
        "The sweep's best configuration is worse than the reference by 0.049 ± 0.010 objective: certain at the 95 % "
        "level.",
    ]
    chain = read(INFO, [finals])
    assert chain.finals is not None
    assert chain.finals.winner is not None
    assert chain.finals.winner.name == "w=1"  # what `confirm` takes is the sweep's own
    assert provenance_text.steps(chain, "", "", "")[2]["hint"] == "the reference leads, 6 fresh replicates"
    assert [row[0] for row in provenance_text.standing(chain.finals)] == ["", "ref", "1", "2"]


def test_what_finals_store_reads_as_the_same_finals() -> None:
    """Through JSON and the flat keys of a record."""
    played = read(INFO, [FINALS]).finals
    assert played is not None
    rows = tuple(replace(row, round=4 if row.finalist else 2) for row in played.standing)
    worth = NextReplicate(change=0.12, gain=0.0001, seconds=60.0)
    written = replace(
        played, goal=Goal.MINIMIZE, schedule="30:1,10:3", fresh=6, reference="w=8", standing=rows, next_replicate=worth
    )
    stored = json.loads(json.dumps({"finals": written.stored_config(), **written.stored_summary()}))
    config, summary = flatten({"finals": stored.pop("finals")}), flatten(stored)
    assert read(INFO, [RunRecord(id="finals-abc", config=config, summary=summary)]).finals == written
    assert provenance_text.next_replicate_sentence(written) == (
        "One more replicate of the sweep's two finalists (two trainings of 60 s) would change which of them leads "
        "with a probability of 12 %, and improve objective by 0.0001 on average."
    )
    assert provenance_text.next_replicate_sentence(played) == ""  # finals of before did not store it


def test_what_a_confirmation_claims_reads_as_the_same_claim() -> None:
    claim = read(INFO, CONFIRMED).confirmations[0].claim
    assert claim is not None
    stored = flatten({"confirms": json.loads(json.dumps(claim.stored_config()))})
    assert read(INFO, [replace(CONFIRMED[0], config=stored)]).confirmations[0].claim == claim


def test_one_replicate_each_is_no_tie() -> None:
    """It decides nothing, and nothing else can be said of it."""
    one = {"difference": 0.036, "half": None, "count": 1, "tie": True}
    rows = [{**ROWS[0], "replicates": 1, "to_next": one, "to_reference": one}, *ROWS[1:]]
    final = RunRecord(
        id="finals-abc", config=ABOUT, summary={"complete": True, "round": 4, "rounds": 4, "standing": rows}
    )
    _, said, _, note = sentences(final)
    assert "±" not in note  # there is none in the table
    assert said == (
        "The sweep's best configuration is worse than the reference by 0.036 objective. The interval is unknown: it "
        "takes more than one replicate of each."
    )


@pytest.mark.parametrize(("claimed", "how"), [(0.9975, "0.22 points too high"), (0.9935, "0.18 points too low")])
def test_a_claim_that_does_not_hold_is_told(claimed: float, how: str) -> None:
    found = [seed(v, chosen_by="sweep", claimed=claimed, observed=0.998, runs=1) for v in SEEDS]
    assert sentences(*found)[1] == (
        f"The sweep claimed {100 * claimed:.2f} % val/accuracy after measuring 99.80 % in 1 run. The claim was {how}."
    )


def test_a_claim_of_shorter_trials_is_named_and_not_judged() -> None:
    found = [seed(v, chosen_by="sweep", claimed=0.9901, observed=0.991, runs=2, note="5-epoch trials") for v in SEEDS]
    assert sentences(*found)[1] == (
        "The sweep claimed 99.01 % val/accuracy after measuring 99.10 % in 2 runs, by 5-epoch trials."
    )


def test_one_seed_has_no_interval_and_a_diverged_one_is_told() -> None:
    assert sentences(CONFIRMED[0], seed(None)) == [
        "Confirmed with one seed: 99.53 % test/accuracy. More seeds are needed for an interval. 1 seed diverged and is "
        "not counted.",
        "The finals claimed 99.55 % val/accuracy. The seed is 0.02 points below the claim.",
    ]


def test_finals_under_way_say_how_far_they_are() -> None:
    summary = {"complete": False, "round": 2, "rounds": 4, "entrants": 10, "missing": 14, "standing": ROWS}
    under_way = replace(FINALS, summary=summary)
    assert sentences(under_way) == [
        "The finals are in round 2 of 4, with 10 configurations. The round began with 14 trainings to go."
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
    assert head[1:] == [
        "configuration", "round", "replicates", "parameters", "val/accuracy", "objective", "vs next", "vs reference"
    ]  # fmt: skip
    assert first == ["1", "w=1", "", "6", "900", "99.55 %", "0.01700", "−0.00030 ± 0.00052", "−0.0050 ± 0.0010"]
    assert second[4:] == ["", "", "0.01730", "", ""]
    assert (reference[:2], fourth[:2]) == (["ref", "w=8"], ["3", "w=3"])


def test_the_table_says_which_round_a_configuration_reached() -> None:
    rows = [ROWS[0] | {"round": 4}, ROWS[3] | {"round": 3}]
    record = RunRecord(id="finals-abc", config=ABOUT, summary={"complete": True, "rounds": 4, "standing": rows})
    assert [row[2] for row in provenance_text.standing(read(INFO, [record]).finals)] == ["round", "final", "3"]


def test_a_difference_has_as_many_decimals_as_its_interval_says() -> None:
    def shown(value: float, half: float | None) -> str:
        return provenance_text.difference(Difference(difference=value, half=half, count=3, tie=True))

    assert shown(-0.000032, 0.000051) == "−0.000032 ± 0.000051"
    assert shown(12.34, 5.6) == "+12.3 ± 5.6"
    assert shown(0.5, None) == "+0.50"
    assert shown(0.0, None) == "+0"


def test_an_interval_of_one_value_is_not_known() -> None:
    assert math.isnan(interval([1.0]))
    assert interval([1.0, 1.0]) == 0.0
