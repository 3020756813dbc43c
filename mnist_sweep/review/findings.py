"""What the runs say, in sentences. Every number in them is read from the runs; page, report and terminal share them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mnist_sweep.review.formatting import counted
from mnist_sweep.review.importance import Importance
from mnist_sweep.review.ranking import RankedTrial, Ranking
from mnist_sweep.review.records import Objective, number
from mnist_sweep.review.statistics import Noise, expected_best
from mnist_sweep.review.status import Status

COUNTED = {
    Status.QUEUED: "queued",
    Status.RUNNING: "running",
    Status.STOPPED: "stopped early",
    Status.INFEASIBLE: "refused as infeasible",
    Status.DIVERGED: "diverged",
    Status.FAILED: "failed",
    Status.BASELINE: "baseline",
}
LISTED = 8
"""Runs of a front that a sentence names."""


def findings(ranking: Ranking, importance: Importance, noise: Noise | None, random: Sequence[float]) -> Iterator[str]:
    """Yield sentences, the most important first. `random` has the values of a random search over the same space."""
    metric, second = ranking.info.metric, ranking.info.second
    if ranking.best is None:
        yield " ".join(filter(None, (f"No run has reported {metric} yet." if metric else "", _counts(ranking))))
        return
    yield _non_dominated(ranking, second) if second else _best(ranking, ranking.best)
    if noise:
        yield _noise(ranking, ranking.best, noise)
    yield _counts(ranking)
    if importance.shares:
        yield _importance(importance)
    if len(ranking.front) > 1 and not second:
        yield _front(ranking)
    if random:
        yield _against_random(ranking, random)
    if saved := _saved(ranking):
        yield saved


def _best(ranking: Ranking, best: RankedTrial) -> str:
    presentation = ranking.presentation
    text = f"The best run is {best.label}: {presentation.show(best.value)} {ranking.info.metric}"
    if fraction := ranking.show_fraction(best):
        text += f" ({fraction})"
    if best.size is not None:
        text += f" with {best.size:,.6g} {presentation.size}"
    if best.best is not None and best.best_at is not None and best.best != best.value:
        text += f" at its end; it was best at {presentation.step} {best.best_at:g} with {presentation.show(best.best)}"
    return text + "."


def _non_dominated(ranking: Ranking, second: Objective) -> str:
    """Name the runs of the front with both of their objectives."""
    presentation, front = ranking.presentation, ranking.front
    both = f"{ranking.info.metric} and {second.name}"
    if not front:
        return f"No run has reported both {both}."
    named = [
        f"{trial.label} ({presentation.show(trial.value)}, {presentation.show_size(trial.size)})"
        for trial in front[:LISTED]
    ]
    more = f" and {len(front) - LISTED} more" if len(front) > LISTED else ""
    count = "1 run is" if len(front) == 1 else f"{len(front)} runs are"
    return f"{count} non-dominated in {both}: {', '.join(named)}{more}."


def _noise(ranking: Ranking, best: RankedTrial, noise: Noise) -> str:
    others = ranking.ranked[1:]
    points = f"{100 * noise.error:.2f} points"
    known = f"One value on {noise.samples:,} samples has a standard error of {points}"
    if not others:
        return f"{known}."
    near = sum(abs(best.value - trial.value) <= 2 * noise.error for trial in others)
    if not near:
        return f"{known}; no other ranked run is within two of them from the best."
    close = f"{near} of {len(others)} others are within two of them from the best"
    return f"{known}; {close}. One run each does not rank them."


def _counts(ranking: Ranking) -> str:
    count = Counter(trial.status for trial in ranking.trials)
    unranked = count[Status.FINISHED] - len(ranking.ranked)
    parts = [f"{len(ranking.ranked)} ranked"] if ranking.ranked else []
    if unranked:
        parts.append(f"{unranked} finished" + (f" without {ranking.info.metric}" if ranking.info.metric else ""))
    parts += [f"{count[kind]} {word}" for kind, word in COUNTED.items() if count[kind]]
    return f"{counted(len(ranking.trials), 'trial')}: {', '.join(parts) or 'none'}."


def _importance(importance: Importance) -> str:
    sure = [name for name in importance.shares if importance.above_noise(name)]
    if not sure:
        return f"No field stands out from chance over {importance.trials} ranked trials."
    named = ", ".join(f"{name} ({100 * importance.shares[name]:.0f} %)" for name in sure[:3])
    verb = "mattered most" if len(importance.shares) > len(sure) or len(sure) > 3 else "mattered"
    return f"What {verb} over {importance.trials} ranked trials: {named}."


def _front(ranking: Ranking) -> str:
    presentation, (first, *_, last) = ranking.presentation, ranking.front
    ends = (f"{presentation.show(trial.value)} with {presentation.show_size(trial.size)}" for trial in (first, last))
    text = (
        f"{len(ranking.front)} runs are non-dominated in {ranking.info.metric} and {presentation.size}, "
        f"from {' to '.join(ends)}"
    )
    return text + (f"; at most {presentation.limit:,.6g} are allowed." if presentation.limit is not None else ".")


def _against_random(ranking: Ranking, random: Sequence[float]) -> str:
    n = min(len(random), len(ranking.ranked))
    show = ranking.presentation.show
    reached = expected_best(random, 0.5, ranking.info.goal)[n - 1]
    return (
        f"With {n} ranked trials, random search reaches {show(reached)} (median over the orders of its "
        f"{len(random)} trials) and this sweep {show(ranking.progress[n - 1].best)}."
    )


def _saved(ranking: Ranking) -> str:
    """Return what early stopping saved if all ranked runs are equally long, which is then the full length."""
    axis = ranking.presentation.axis

    def length(rows: Sequence[Mapping[str, Any]]) -> float:
        seen = [value for row in rows if (value := number(row.get(axis))) is not None]
        return seen[-1] - seen[0] + 1 if seen else 0.0

    full = {length(trial.record.history) for trial in ranking.ranked}
    stopped = [length(trial.record.history) for trial in ranking.trials if trial.status is Status.STOPPED]
    if len(full) != 1 or not stopped:
        return ""
    (each,) = full
    asked = each * (len(stopped) + len(ranking.ranked))
    done = sum(stopped) + each * len(ranking.ranked)
    if done >= asked:
        return ""
    steps = ranking.presentation.plural
    return f"Early stopping saved {100 * (1 - done / asked):.0f} % of the {steps} ({done:g} of {asked:g} were run)."
