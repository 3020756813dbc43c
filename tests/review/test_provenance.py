"""A chain read from invented runs; a real one is in tests/e2e/test_chain.py."""

import json
import math
from dataclasses import replace
from statistics import fmean
from typing import Any

import pytest

from mnist_sweep.review.provenance import Chain, NextReplicate, read
from mnist_sweep.review.records import RunRecord, flatten
from mnist_sweep.search.goal import Goal
from tests.review.chain import CONFIRMED, FINALS, INFO, SEEDS, seed


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


def test_what_a_confirmation_claims_reads_as_the_same_claim() -> None:
    claim = read(INFO, CONFIRMED).confirmations[0].claim
    assert claim is not None
    stored = flatten({"confirms": json.loads(json.dumps(claim.stored_config()))})
    assert read(INFO, [replace(CONFIRMED[0], config=stored)]).confirmations[0].claim == claim
