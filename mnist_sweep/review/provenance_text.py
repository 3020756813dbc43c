"""A chain in words, as steps and as a table: the same on the page, in the report and in the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import stdev

from mnist_sweep.review.formatting import decided
from mnist_sweep.review.presentation import Presentation, is_fraction
from mnist_sweep.review.provenance import Chain, Confirmation, Difference, Finals


def headline(confirmed: Confirmation) -> str:
    """`99.56 % ± 0.03`: the mean and half the width of its 95 % interval."""
    half = "" if math.isnan(confirmed.half) else f" ± {_amount(confirmed, confirmed.half)}"
    return f"{_show(confirmed.metric, confirmed.mean)}{half}"


def sentences(chain: Chain, sign: float) -> Iterator[str]:
    """The chain in sentences, the number that counts first. `sign`: 1 where more of the sweep's metric is better."""
    if chain.confirmed is not None:
        yield _confirmed(chain.confirmed)
        yield from _against_claim(chain.confirmed)
    if chain.finals is not None:
        yield _standing(chain.finals, sign)


def _confirmed(one: Confirmation) -> str:
    count, found = len(one.values), headline(one)
    failed = f" {_count(one.diverged, 'seed')} diverged and counts not." if one.diverged else ""
    if count == 1:
        return f"Confirmed with one seed: {found} {one.metric}; more seeds say how sure that is.{failed}"
    lowest, highest = (_show(one.metric, value) for value in (min(one.values), max(one.values)))
    return (
        f"Confirmed: {found} {one.metric}, mean over {count} fresh trainings with its 95 % interval; deviation "
        f"{_amount(one, stdev(one.values))}, from {lowest} to {highest}.{failed}"
    )


def _against_claim(one: Confirmation) -> Iterator[str]:
    """What was claimed before, against what fresh trainings say."""
    if one.claimed is None:
        return
    who = "The finals" if one.chosen_by == "finals" else "The sweep"
    said = f"{who} claimed {_show(one.claim, one.claimed)} {one.claim} of it"
    if one.chosen_by != "finals" and one.observed is not None:
        said += f", and had measured {_show(one.claim, one.observed)} ({_count(one.runs, 'run')})"
    over = one.claimed - one.mean
    amount = f"{_amount(one, abs(over))}{' points' if _fraction(one.metric) else ''}"
    if math.isnan(one.half):
        judged = f"the seed is {amount} {'below' if over > 0 else 'above'} the claim"
    elif abs(over) <= one.half:
        judged = f"fresh trainings differ from that by {amount}, which is within their interval"
    else:
        judged = f"fresh trainings say that this was {amount} too {'high' if over > 0 else 'low'}"
    yield f"{said}: {judged}."


def _standing(finals: Finals, sign: float) -> str:
    best = finals.winner
    if best is None:
        return (
            f"The finals are in round {finals.round} of {finals.rounds}: {_count(finals.entrants, 'configuration')}, "
            f"{_count(finals.missing, 'training')} to go when it began."
        )
    parts = [f"{_show(finals.metric, best.value)} {finals.metric}"]
    rivals = [row for row in finals.standing if row.finalist and not row.reference]
    if len(rivals) > 1 and best.to_next is not None:
        parts.append(_compared(best.to_next, "the second", finals.metric, sign))
    if best.to_reference is not None:
        parts.append(_compared(best.to_reference, "the reference", finals.metric, sign))
    return f"Finals over {_count(best.replicates, 'fresh replicate')}: the first has {', '.join(parts)}."


def _compared(found: Difference, whom: str, metric: str, sign: float) -> str:
    how = decided(known=found.half is not None, tie=found.tie, better=sign * found.difference > 0)
    return f"{how} {whom} ({difference(found)} {metric})"


def difference(found: Difference | None) -> str:
    """`−0.00032 ± 0.00020`, with as many decimals as the interval has to say."""
    if found is None:
        return ""
    spread = found.half or abs(found.difference)
    decimals = min(max(1 - math.floor(math.log10(spread)), 0), 8) if spread else 0
    half = "" if found.half is None else f" ± {found.half:.{decimals}f}"
    return f"{found.difference:+.{decimals}f}{half}".replace("-", "−")


def _amount(one: Confirmation, value: float) -> str:
    return f"{100 * value:.2f}" if _fraction(one.metric) else f"{value:.2g}"


def _fraction(metric: str) -> bool:
    return is_fraction(metric, ())


def _show(metric: str, value: float | None) -> str:
    return Presentation(fraction=_fraction(metric)).show(value)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def steps(chain: Chain, question: str, swept: str, best: str) -> list[dict[str, str]]:
    """Question, sweep, finals and confirmation, each with what it came to; `swept` and `best` are the sweep's own."""
    finals, one = chain.finals, chain.confirmed
    row = finals.winner if finals else None
    found = [
        {"label": "question", "value": question, "hint": "", "url": ""},
        {"label": "sweep", "value": best, "hint": swept, "url": ""},
    ]
    if finals is None:
        found.append({"label": "finals", "value": "not played", "hint": "", "url": ""})
    elif row is None:
        hint = f"{_count(finals.entrants, 'configuration')}"
        value = f"round {finals.round} of {finals.rounds}"
        found.append({"label": "finals", "value": value, "hint": hint, "url": finals.url})
    else:
        value = f"{_show(finals.metric, row.value)} {finals.metric}"
        hint = f"{_count(row.replicates, 'fresh replicate')}"
        if row.accuracy is not None:
            hint = f"{_show(finals.claim, row.accuracy)} {finals.claim}, {hint}"
        found.append({"label": "finals", "value": value, "hint": hint, "url": finals.url})
    if one is None:
        found.append({"label": "confirmed", "value": "not yet", "hint": "", "url": ""})
    else:
        hint = f"{one.metric}, {_count(len(one.values), 'fresh training')}"
        found.append({"label": "confirmed", "value": headline(one), "hint": hint, "url": one.url})
    return found


def standing(finals: Finals | None) -> list[list[str]]:
    """The finals' table, its headings first; empty where there is none yet."""
    if finals is None or not finals.standing:
        return []
    head = [
        "",
        "configuration",
        "replicates",
        "parameters",
        finals.claim,
        finals.metric,
        "less the next",
        "less the reference",
    ]
    rows = [
        [
            str(place),
            f"the reference: {row.name}" if row.reference else row.name,
            str(row.replicates),
            "" if row.parameters is None else f"{row.parameters:,}",
            "" if row.accuracy is None else _show(finals.claim, row.accuracy),
            _show(finals.metric, row.value),
            *(
                difference(one) + (", a tie" if one and one.tie and one.half is not None else "")
                for one in (row.to_next, row.to_reference)
            ),
        ]
        for place, row in enumerate(finals.standing, start=1)
    ]
    return [head, *rows]
