"""Finals and confirmation as sentences, steps and a table: the same on the page, in the report and in the terminal."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

from mnist_sweep.review.formatting import counted
from mnist_sweep.review.presentation import Presentation, is_fraction
from mnist_sweep.review.provenance import Chain, Confirmation, Difference, Entrant, Finals

REFERENCE = "ref"
"""The reference's place in the finals' table."""


def headline(confirmed: Confirmation) -> str:
    """Return `99.56 % ± 0.03`: the mean and half the width of its 95 % interval."""
    half = "" if math.isnan(confirmed.half) else f" ± {_amount(confirmed, confirmed.half)}"
    return f"{_show(confirmed.metric, confirmed.mean)}{half}"


def sentences(chain: Chain) -> Iterator[str]:
    """Yield what followed a sweep in sentences, the number that counts first."""
    if chain.confirmed is not None:
        yield confirmation_sentence(chain.confirmed)
        yield from _against_claim(chain.confirmed)
    if chain.finals is not None:
        yield from finals_sentences(chain.finals)


def confirmation_sentence(one: Confirmation) -> str:
    """Return the result of a confirmation as one or two sentences."""
    count, found = len(one.values), headline(one)
    verb = "is" if one.diverged == 1 else "are"
    diverged = f" {counted(one.diverged, 'seed')} diverged and {verb} not counted." if one.diverged else ""
    if count == 1:
        return f"Confirmed with one seed: {found} {one.metric}. More seeds are needed for an interval.{diverged}"
    lowest, highest = (_show(one.metric, value) for value in (min(one.values), max(one.values)))
    return (
        f"Confirmed: {found} {one.metric}, the mean of {count} seeds with its 95 % interval. The standard deviation "
        f"is {_amount(one, one.deviation)}, and the seeds range from {lowest} to {highest}.{diverged}"
    )


def _against_claim(one: Confirmation) -> Iterator[str]:
    """Compare the confirmation with what was claimed before."""
    claim = one.claim
    if claim is None or claim.claimed is None:
        return
    who = "The finals" if claim.chosen_by == "finals" else "The sweep"
    said = f"{who} claimed {_show(claim.claim, claim.claimed)} {claim.claim}"
    if claim.chosen_by != "finals" and claim.observed is not None:
        said += f" after measuring {_show(claim.claim, claim.observed)} in {counted(claim.runs, 'run')}"
    if claim.note:
        yield f"{said}, by {claim.note}."  # of another training, so neither too high nor too low
        return
    over = claim.claimed - one.mean
    amount = f"{_amount(one, abs(over))}{' points' if _fraction(one.metric) else ''}"
    if math.isnan(one.half):
        judged = f"The seed is {amount} {'below' if over > 0 else 'above'} the claim."
    elif abs(over) <= one.half:
        judged = f"The confirmation differs from that by {amount}, which is within its interval."
    else:
        judged = f"The claim was {amount} too {'high' if over > 0 else 'low'}."
    yield f"{said}. {judged}"


def finals_sentences(finals: Finals) -> Iterator[str]:
    """Yield how far the finals are, or who leads, by how much, and how certain that is."""
    if not finals.complete:
        yield (
            f"The finals are in round {finals.round} of {finals.rounds}, with "
            f"{counted(finals.entrants, 'configuration')}. The round began with {counted(finals.missing, 'training')} "
            "to go."
        )
        return
    yield from _leader_sentences(finals)
    for place, row in zip(places(finals), finals.standing, strict=True):
        if row.finalist and row.diverged:
            who = "the reference" if row.reference else f"configuration {place}"
            yield f"{row.diverged} of {row.replicates} trainings of {who} diverged, so it has no mean to compare."
    note = "In the table of the finals, configurations that reached a later round come first."
    compared = [found for row in finals.standing for found in (row.to_next, row.to_reference) if found is not None]
    if any(found.half is not None for found in compared):
        note += " Each ± is the 95 % interval of a paired difference; a smaller difference is a tie."
    yield note


def _leader_sentences(finals: Finals) -> Iterator[str]:
    leader, winner = finals.leader, finals.winner
    if leader is None or winner is None:
        yield "No configuration leads the finals, because trainings of every finalist diverged."
        return
    who = "The reference" if leader.reference else "The sweep's best configuration"
    yield (
        f"{who} leads the finals: {_show(finals.metric, leader.value)} {finals.metric}, the mean of "
        f"{counted(leader.replicates, 'fresh replicate')}."
    )
    if winner.to_reference is not None:
        yield _compared("The sweep's best configuration", winner.to_reference, "the reference", finals)
    if (found := _to_second(winner, finals)) is not None:
        yield _compared("The sweep's best configuration", found, "the second", finals)


def next_replicate_sentence(finals: Finals) -> str:
    """Return what one more replicate of the sweep's two best configurations would bring; empty if that is unknown."""
    found = finals.next_replicate
    if found is None:
        return ""
    cost = "" if found.seconds is None else f" (two trainings of {found.seconds:.0f} s)"
    return (
        f"One more replicate of the sweep's two finalists{cost} would change which of them leads with a probability "
        f"of {100 * found.change:.0f} %, and improve {finals.metric} by {_rounded(found.gain)} on average."
    )


def _to_second(winner: Entrant, finals: Finals) -> Difference | None:
    """Return the winner compared with the second. In older data, only neighbours in the table are compared."""
    if finals.second is None:
        return None
    adjacent = finals.standing.index(finals.second) == finals.standing.index(winner) + 1
    return winner.to_other_finalist or (winner.to_next if adjacent else None)


def _compared(who: str, found: Difference, other: str, finals: Finals) -> str:
    better = finals.goal.to_loss(found.difference) < 0
    amount = difference(found).lstrip("+−")
    direction = f"{'better' if better else 'worse'} than {other} by {amount} {finals.metric}"
    if found.half is None:
        return f"{who} is {direction}. The interval is unknown: it takes more than one replicate of each."
    if found.tie:
        return f"{who} is {direction}: a tie, because the 95 % interval contains zero."
    return f"{who} is {direction}: certain at the 95 % level."


def difference(found: Difference | None) -> str:
    """Return `−0.00032 ± 0.00020`, with two significant digits of the interval."""
    if found is None:
        return ""
    spread = found.half or abs(found.difference)
    decimals = min(max(1 - math.floor(math.log10(spread)), 0), 8) if spread else 0
    half = "" if found.half is None else f" ± {found.half:.{decimals}f}"
    return f"{found.difference:+.{decimals}f}{half}".replace("-", "−")


def steps(chain: Chain, question: str, swept: str, best: str) -> list[dict[str, str]]:
    """Return question, sweep, finals and confirmation with the result of each.

    `swept` and `best` describe the sweep itself.
    """
    finals, one = chain.finals, chain.confirmed
    row = finals.leader if finals else None
    found = [
        {"label": "question", "value": question, "hint": "", "url": ""},
        {"label": "sweep", "value": best, "hint": swept, "url": ""},
    ]
    if finals is None:
        found.append({"label": "finals", "value": "not run", "hint": "", "url": ""})
    elif row is None and finals.complete:
        found.append({"label": "finals", "value": "no leader", "hint": "every finalist diverged", "url": finals.url})
    elif row is None:
        hint = counted(finals.entrants, "configuration")
        value = f"round {finals.round} of {finals.rounds}"
        found.append({"label": "finals", "value": value, "hint": hint, "url": finals.url})
    else:
        value = f"{_show(finals.metric, row.value)} {finals.metric}"
        hint = counted(row.replicates, "fresh replicate")
        if row.accuracy is not None:
            hint = f"{_show(finals.claim, row.accuracy)} {finals.claim}, {hint}"
        if row.reference:
            hint = f"the reference leads, {hint}"
        found.append({"label": "finals", "value": value, "hint": hint, "url": finals.url})
    if one is None:
        found.append({"label": "confirmed", "value": "not yet", "hint": "", "url": ""})
    else:
        hint = f"{one.metric}, {counted(len(one.values), 'seed')}"
        found.append({"label": "confirmed", "value": headline(one), "hint": hint, "url": one.url})
    return found


def places(finals: Finals) -> list[str]:
    """Return the place of each row of the finals' table: 1, 2, … and `ref`, which takes no place."""
    place, found = 0, []
    for row in finals.standing:
        place += not row.reference
        found.append(REFERENCE if row.reference else str(place))
    return found


def standing(finals: Finals | None) -> list[list[str]]:
    """Return the finals' table with its headings first; empty until the finals have ended."""
    if finals is None or not finals.standing:
        return []
    head = ["", "configuration", "round", "replicates", "parameters", finals.claim, finals.metric]
    head += ["vs next", "vs reference"]
    rows = [
        [
            place,
            name,
            _round(row.round, finals),
            str(row.replicates),
            "" if row.parameters is None else f"{row.parameters:,}",
            "" if row.accuracy is None else _show(finals.claim, row.accuracy),
            "diverged" if row.diverged else _show(finals.metric, row.value),
            difference(row.to_next),
            difference(row.to_reference),
        ]
        for place, name, row in zip(places(finals), _names(finals.standing), finals.standing, strict=True)
    ]
    return [head, *rows]


def _names(entrants: Sequence[Entrant]) -> list[str]:
    """Return each configuration as text with the fields first by which most of the sweep's configurations differ."""
    values: dict[str, set[str]] = defaultdict(set)
    for entrant in entrants:
        if not entrant.reference:
            for part in entrant.name.split():
                values[part.partition("=")[0]].add(part)
    return [
        " ".join(sorted(entrant.name.split(), key=lambda part: -len(values[part.partition("=")[0]])))
        for entrant in entrants
    ]


def _round(number: int | None, finals: Finals) -> str:
    if number is None:
        return ""
    return "final" if number == finals.rounds else str(number)


def _rounded(value: float) -> str:
    return f"{value:.2g}"


def _amount(one: Confirmation, value: float) -> str:
    return f"{100 * value:.2f}" if _fraction(one.metric) else _rounded(value)


def _fraction(metric: str) -> bool:
    return is_fraction(metric, ())


def _show(metric: str, value: float | None) -> str:
    return Presentation(fraction=_fraction(metric)).show(value)
