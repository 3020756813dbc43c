"""Finals and confirmations in words: sentences, steps and a table."""

from dataclasses import replace

import pytest

from mnist_sweep.review import provenance_text
from mnist_sweep.review.provenance import Chain, Difference, NextReplicate, read
from mnist_sweep.review.records import RunRecord
from tests.review.chain import ABOUT, CONFIRMED, FINALS, INFO, ROWS, SEEDS, seed

TABLE_NOTE = (
    "In the table of the finals, configurations that reached a later round come first. Each ± is the 95 % interval of "
    "a paired difference; a smaller difference is a tie."
)


def sentences(*records: RunRecord) -> list[str]:
    return list(provenance_text.sentences(read(INFO, records)))


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


def test_the_winner_is_compared_with_the_second_if_the_reference_ranks_between_them() -> None:
    second = {"difference": -0.006, "half": 0.001, "count": 6, "tie": False}
    rows = [{**ROWS[0], "to_other_finalist": second}, {**ROWS[2], "value": 0.0172}, {**ROWS[1], "value": 0.023}]
    finals = RunRecord(id="finals-abc", config=ABOUT, summary={"complete": True, "rounds": 4, "standing": rows})
    _, reference, found, _ = sentences(finals)
    assert "better than the reference" in reference
    assert found == (
        "The sweep's best configuration is better than the second by 0.0060 ± 0.0010 objective: certain at the 95 % "
        "level."
    )
    older = replace(finals, summary=finals.summary | {"standing": [ROWS[0], *rows[1:]]})
    assert len(sentences(older)) == 3  # the row below the winner's is the reference


def test_a_reference_that_is_a_finalist_is_compared_once() -> None:
    both = ROWS[0]["to_reference"]
    rows = [{**ROWS[0], "to_next": both, "to_other_finalist": both}, ROWS[2]]
    finals = RunRecord(id="finals-abc", config=ABOUT, summary={"complete": True, "rounds": 4, "standing": rows})
    assert len(sentences(finals)) == 3


def test_a_finalist_that_diverged_is_told_and_not_compared() -> None:
    diverged = {"value": None, "diverged": 2, "to_next": None, "to_reference": None}
    rows = [{**ROWS[0], "to_next": None}, ROWS[1] | diverged, ROWS[2] | diverged | {"diverged": 1}]
    rows[0]["to_reference"] = None
    finals = RunRecord(id="finals-abc", config=ABOUT, summary={"complete": True, "rounds": 4, "standing": rows})
    assert sentences(finals)[:-1] == [
        "The sweep's best configuration leads the finals: 0.01700 objective, the mean of 6 fresh replicates.",
        "2 of 6 trainings of configuration 2 diverged, so it has no mean to compare.",
        "1 of 6 trainings of the reference diverged, so it has no mean to compare.",
    ]
    assert [row[6] for row in provenance_text.standing(read(INFO, [finals]).finals)][1:] == [
        "0.01700",
        "diverged",
        "diverged",
    ]


def test_where_every_finalist_diverged_none_leads() -> None:
    rows = [{**row, "value": None, "diverged": 6, "to_next": None, "to_reference": None} for row in ROWS[:2]]
    finals = RunRecord(id="finals-abc", config=ABOUT, summary={"complete": True, "rounds": 4, "standing": rows})
    assert sentences(finals)[:-1] == [
        "No configuration leads the finals, because trainings of every finalist diverged.",
        "6 of 6 trainings of configuration 1 diverged, so it has no mean to compare.",
        "6 of 6 trainings of configuration 2 diverged, so it has no mean to compare.",
    ]
    step = provenance_text.steps(read(INFO, [finals]), "", "", "")[2]
    assert (step["value"], step["hint"]) == ("no leader", "every finalist diverged")


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


def test_the_fields_by_which_configurations_differ_are_first_in_the_table() -> None:
    names = ["c1=7 c2=12 max_lr=0.2 pools=2", "c1=7 c2=12 max_lr=0.3 pools=2", "c1=9 c2=12 max_lr=0.4 pools=2"]
    rows = [ROWS[0] | {"name": name} for name in names] + [ROWS[2] | {"name": "preset=step8"}]
    record = RunRecord(id="finals-abc", config=ABOUT, summary={"complete": True, "rounds": 4, "standing": rows})
    assert [row[1] for row in provenance_text.standing(read(INFO, [record]).finals)][1:] == [
        "max_lr=0.2 c1=7 c2=12 pools=2",
        "max_lr=0.3 c1=7 c2=12 pools=2",
        "max_lr=0.4 c1=9 c2=12 pools=2",
        "preset=step8",
    ]


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


def test_one_more_replicate_is_worth_what_the_finals_measured() -> None:
    played = read(INFO, [FINALS]).finals
    assert played is not None
    assert provenance_text.next_replicate_sentence(played) == ""  # earlier finals did not store it
    measured = replace(played, next_replicate=NextReplicate(change=0.12, gain=0.0001, seconds=60.0))
    assert provenance_text.next_replicate_sentence(measured) == (
        "One more replicate of the sweep's two finalists (two trainings of 60 s) would change which of them leads "
        "with a probability of 12 %, and improve objective by 0.0001 on average."
    )


def test_the_steps_lead_from_the_question_to_the_confirmation() -> None:
    question, sweep, finals, confirmed = provenance_text.steps(
        read(INFO, [FINALS, *CONFIRMED]), "bayes", "60 trials", "0.016"
    )
    assert (question["value"], sweep["value"], sweep["hint"]) == ("bayes", "0.016", "60 trials")
    assert (finals["value"], finals["hint"]) == ("0.01700 objective", "99.55 % val/accuracy, 6 fresh replicates")
    assert (confirmed["value"], confirmed["hint"]) == ("99.53 % ± 0.10", "test/accuracy, 3 seeds")
    assert confirmed["url"] == "https://host/e/p/groups/confirm-finals-abc-1"
    assert [step["value"] for step in provenance_text.steps(Chain(), "", "", "")][2:] == ["not run", "not yet"]
