"""The words of a page beside its figures: tiles at the top, a line under each heading."""

from __future__ import annotations

from mnist_sweep.review.formatting import duration
from mnist_sweep.review.ranking import Ranking, Trial
from mnist_sweep.review.records import SweepInfo
from mnist_sweep.review.status import Status

Tile = dict[str, str | float]
"""A `label`, a `value`, a `hint`; `elapsed` seconds if an open page shall count on."""


def lede(info: SweepInfo) -> str:
    """What the sweep does, in a line."""
    names = ", ".join(field.name for field in info.fields)
    goal = f"{info.goal} {info.metric}" if info.metric else "no metric"
    return f"{info.method or 'sweep'}: {goal}" + (f" over {names}" if names else "")


def tiles(ranking: Ranking) -> list[Tile]:
    """The tiles at the top of a sweep's page."""
    info, best = ranking.info, ranking.best
    spent = sum(trial.record.seconds or 0.0 for trial in ranking.trials)
    counts = [f"{len(ranking.ranked)} ranked"] if info.metric else []
    found: list[Tile] = []
    if info.metric:
        value, hint = (ranking.presentation.show(best.value), best.label) if best else ("–", "nothing ranked yet")
        found.append({"label": f"best {info.metric}", "value": value, "hint": hint})
    if best:
        found += _size(best, ranking, "its ")
    return [
        *found,
        {
            "label": "trials",
            "value": str(len(ranking.trials)),
            "hint": ", ".join([*counts, f"{ranking.count(Status.RUNNING)} running"]),
        },
        {"label": "run time", "value": duration(spent), "hint": "all trials together"},
        {"label": "search", "value": info.method or "–", "hint": _fields(len(info.fields))},
        {"label": "state", "value": info.state.lower() or "–", "hint": ""},
    ]


def run_tiles(trial: Trial, ranking: Ranking) -> list[Tile]:
    """The tiles at the top of a run's page."""
    words, metric, seconds = ranking.presentation, ranking.info.metric, trial.record.seconds
    found: list[Tile] = []
    if metric:
        at = f" at {words.step} {trial.best_at:g}" if trial.best_at is not None else ""
        hint = f"best {words.show(trial.best)}{at}" if trial.best is not None else ""
        found.append({"label": metric, "value": words.show(trial.value), "hint": hint})
    return [
        *found,
        *_size(trial, ranking),
        {"label": "state", "value": trial.record.state, "hint": trial.reason},
        {"label": "time", "value": duration(seconds) if seconds is not None else "–", "hint": ""}
        | ({"elapsed": seconds} if trial.record.read_at and seconds is not None else {}),
    ]


def notes(ranking: Ranking, *, compared: bool) -> dict[str, str]:
    """One line beside each figure that says what it leaves out. `compared`: a random search is drawn beside it."""
    info, words = ranking.info, ranking.presentation
    better = "higher" if info.goal == "maximize" else "lower"
    left = sum(bool(trial.reason) for trial in ranking.trials)
    by = (
        f"By {info.metric} at the end of each run, {better} is better."
        if info.metric
        else "By age: no metric is named."
    )
    reasons = (
        f" {left} of {len(ranking.trials)} runs are marked with the reason why they are not ranked." if left else ""
    )
    alone = "" if compared else " Without a random search of the same space there is nothing to compare it with."
    rate = f"; {words.rate} along the same {words.step} below" if words.rate else ""
    return {
        "ranking": by + reasons,
        "tradeoff": "Each point is a ranked run, the line joins those that nothing beats in both"
        + _crosses(ranking.count(Status.INFEASIBLE)),
        "best": "Trials in the order the search proposed them; refused ones count, they cost a proposal." + alone,
        "curves": f"The best runs in colour, the others in grey{rate}. Double-click to see curves whole.",
    }


def _size(trial: Trial, ranking: Ranking, whose: str = "") -> list[Tile]:
    if trial.size is None:
        return []
    limit = ranking.presentation.limit
    share = f"{trial.size / limit:.0%} of {limit:,.6g} allowed" if limit else ""
    return [{"label": f"{whose}{ranking.presentation.size}", "value": f"{trial.size:,.6g}", "hint": share}]


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"


def _crosses(refused: int) -> str:
    if not refused:
        return "."
    what = "the cross is a proposal" if refused == 1 else f"the crosses are {refused} proposals"
    return f"; {what} over the limit, refused before training."
