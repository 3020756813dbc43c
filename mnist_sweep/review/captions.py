"""The text of a page beside its figures: tiles at the top, and a line under each heading."""

import re
from collections.abc import Iterable

from mnist_sweep.review.formatting import counted, duration
from mnist_sweep.review.presentation import is_fraction, show
from mnist_sweep.review.ranking import Ranking, Trial
from mnist_sweep.review.records import SweepInfo
from mnist_sweep.review.status import Status
from mnist_sweep.search.config import REPLICATE
from mnist_sweep.search.goal import Goal

Tile = dict[str, str]
_STATES = {
    "pending": "no agent has joined yet",
    "idle": "no agent works on it; one can join at any time",
    "pausing": "no new trial starts until it is resumed",
    "paused": "no new trial starts until it is resumed",
    "stopping": "no new trial starts",
    "stopped": "ended before its last trial; it can be resumed",
}
"""What follows from a sweep's state, by its first word."""


def lede(info: SweepInfo) -> str:
    """Return in one line what the sweep does."""
    names = ", ".join(field.name for field in info.fields)
    goal = objectives(info) or "no metric"
    return f"{info.method or 'sweep'}: {goal}" + (f" over {names}" if names else "")


def objectives(info: SweepInfo) -> str:
    """Return what the sweep optimises, such as `minimize loss`; empty if it names no metric."""
    first = f"{info.goal} {info.metric}" if info.metric else ""
    return f"{first} and {info.second.goal} {info.second.name}" if info.second else first


def tiles(ranking: Ranking) -> list[Tile]:
    """Return the tiles at the top of a sweep's page."""
    info = ranking.info
    spent = sum(trial.record.seconds or 0.0 for trial in ranking.trials)
    counts = [f"{len(ranking.ranked)} ranked"] if info.metric else []
    counts.append(f"{ranking.count(Status.RUNNING)} running")
    if queued := ranking.count(Status.QUEUED):
        counts.append(f"{queued} queued")
    trials = {
        "label": "trials",
        "value": str(len(ranking.trials)),
        "hint": ", ".join(counts),
    }
    return [
        *_best(ranking),
        trials,
        {"label": "total compute time", "value": duration(spent), "hint": "all trials together"},
        {"label": "search", "value": info.method or "–", "hint": _search(info)},
        {"label": "state", "value": info.state.lower() or "–", "hint": _state_hint(info.state.lower())},
    ]


def _state_hint(state: str) -> str:
    return next((hint for word, hint in _STATES.items() if re.match(rf"{word}\b", state)), "")


def _search(info: SweepInfo) -> str:
    fields = counted(len(info.fields), "field")
    if info.method == "bayes" and REPLICATE in (info.config.get("parameters") or {}):
        return f"{fields}; {REPLICATE} tells the search that runs are noisy"
    return fields


def best_text(ranking: Ranking) -> str:
    """Return a sweep's result so far in a few words, such as `0.03890 (98.81 % val/accuracy)`, for a list of sweeps."""
    best, leader = ranking.best, _best_fraction(ranking)
    if best is None:
        return f"running: {ranking.show_fraction(leader)}" if leader else "–"
    if ranking.info.second:
        return f"{len(ranking.front)} non-dominated"
    value, beside = ranking.presentation.show(best.value), ranking.show_fraction(best)
    return f"{value} ({beside})" if beside else value


def _best_fraction(ranking: Ranking) -> Trial | None:
    """Return the running trial with the highest fraction, if any."""
    live = [trial for trial in ranking.trials if trial.status is Status.RUNNING and trial.fraction is not None]
    return max(live, key=lambda trial: trial.fraction or 0.0, default=None)


def run_tiles(trial: Trial, ranking: Ranking) -> list[Tile]:
    """Return the tiles at the top of a run's page."""
    presentation, metric = ranking.presentation, ranking.info.metric
    found: list[Tile] = []
    if metric:
        at = f" at {presentation.step} {trial.best_at:g}" if trial.best_at is not None else ""
        hint = f"best {presentation.show(trial.best)}{at}" if trial.best is not None else ""
        found.append({"label": metric, "value": presentation.show(trial.value), "hint": hint})
    if trial.value is None:
        found += _proxy(trial, ranking)
    return [
        *found,
        *_fraction(trial, ranking),
        *_size(trial, ranking),
    ]


def notes(ranking: Ranking, *, compared: bool) -> dict[str, str]:
    """Return one line for each figure about what it shows and leaves out.

    `compared` says whether a random search is drawn beside the sweep.
    """
    info, presentation = ranking.info, ranking.presentation
    unranked = sum(bool(trial.reason) for trial in ranking.trials)
    reasons = f" {unranked} of {len(ranking.trials)} runs are not ranked; their rows say why." if unranked else ""
    alone = "" if compared else " There is no random search of the same space to compare with."
    rate = f"; {presentation.rate} over the same axis is below" if presentation.rate else ""
    return {
        "ranking": _order(info) + reasons,
        "tradeoff": "Each point is a ranked run. The line joins the runs that no other run beats in both"
        + _crosses(ranking.count(Status.INFEASIBLE)),
        "best": "Trials in the order of the search. Infeasible ones count, because each cost a suggestion." + alone,
        "curves": f"The best runs are in colour, the others in grey{rate}. Double-click to see whole curves.",
    }


def _order(info: SweepInfo) -> str:
    if not info.metric:
        return "By age: the sweep names no metric."
    if info.second:
        return f"Runs that no other run beats in both {info.metric} and {info.second.name} come first."
    better = "higher" if info.goal is Goal.MAXIMIZE else "lower"
    return f"By {info.metric} at the end of each run; {better} is better."


def _best(ranking: Ranking) -> Iterable[Tile]:
    """Yield the result so far: the best run, or until one is ranked, how the running trials are doing."""
    info, best = ranking.info, ranking.best
    if not info.metric:
        return
    if info.second and best:
        names = f"{info.metric}, {info.second.name}"
        yield {"label": "non-dominated runs", "value": str(len(ranking.front)), "hint": names}
        return
    value, hint = (ranking.presentation.show(best.value), best.label) if best else ("–", "nothing ranked yet")
    yield {"label": f"best {info.metric}", "value": value, "hint": hint}
    if best:
        yield from _fraction(best, ranking, "its ")
        yield from _size(best, ranking, "its ")
        return
    live = [trial for trial in ranking.trials if trial.status is Status.RUNNING]
    if leader := _best_fraction(ranking):
        yield from _fraction(leader, ranking, "running: ")
    elif with_proxy := [trial for trial in live if trial.proxy is not None]:
        leading = min(with_proxy, key=lambda trial: info.goal.to_loss(trial.proxy or 0.0))
        yield from _proxy(leading, ranking, "running: ")


def _fraction(trial: Trial, ranking: Ranking, prefix: str = "") -> list[Tile]:
    if trial.fraction is None:
        return []
    hint = trial.label if prefix == "running: " else ""
    value = show(trial.fraction, fraction=True)
    return [{"label": f"{prefix}{ranking.presentation.fraction_metric}", "value": value, "hint": hint}]


def _proxy(trial: Trial, ranking: Ranking, prefix: str = "") -> list[Tile]:
    name = ranking.presentation.proxy_metric
    if trial.proxy is None or name == ranking.presentation.fraction_metric:
        return []
    value = show(trial.proxy, fraction=is_fraction(name, [trial.proxy]))
    return [{"label": f"{prefix}{name}", "value": value, "hint": trial.label if prefix else ""}]


def _size(trial: Trial, ranking: Ranking, prefix: str = "") -> list[Tile]:
    presentation = ranking.presentation
    if trial.size is None:
        return []
    limit = presentation.limit
    share = f"{100 * trial.size / limit:.0f} % of {limit:,.6g} allowed" if limit else ""
    return [{"label": f"{prefix}{presentation.size}", "value": presentation.show_size(trial.size), "hint": share}]


def _crosses(infeasible: int) -> str:
    if not infeasible:
        return "."
    what = "The cross is a trial" if infeasible == 1 else f"The crosses are {infeasible} trials"
    return f". {what} over the limit, refused before training."
