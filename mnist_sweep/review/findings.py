"""What the runs say, in sentences: every number in them is read from the runs. Used by the page, the report and the
terminal alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mnist_sweep.review.importance import Importance
from mnist_sweep.review.ranking import RankedTrial, Ranking
from mnist_sweep.review.records import number
from mnist_sweep.review.statistics import Noise, expected_best
from mnist_sweep.review.status import Status

COUNTED = {
    Status.RUNNING: "running",
    Status.STOPPED: "stopped early",
    Status.INFEASIBLE: "refused as infeasible",
    Status.DIVERGED: "diverged",
    Status.FAILED: "failed",
    Status.BASELINE: "baseline",
}


def findings(ranking: Ranking, mattered: Importance, noise: Noise | None, random: Sequence[float]) -> Iterator[str]:
    """Sentences in the order a reader wants them. `random` are the values of a random search of the same space."""
    metric = ranking.info.metric
    if ranking.best is None:
        yield " ".join(filter(None, (f"No run has reported {metric} yet." if metric else "", _counts(ranking))))
        return
    yield _best(ranking, ranking.best)
    if noise:
        yield _noise(ranking, ranking.best, noise)
    yield _counts(ranking)
    if mattered.shares:
        yield _importance(mattered)
    if len(ranking.front) > 1:
        yield _front(ranking)
    if random:
        yield _against_random(ranking, random)
    if saved := _saved(ranking):
        yield saved


def _best(ranking: Ranking, best: RankedTrial) -> str:
    words = ranking.presentation
    text = f"The best run is {best.label}: {words.show(best.value)} {ranking.info.metric}"
    if best.size is not None:
        text += f" with {best.size:,.6g} {words.size}"
    if best.best is not None and best.best_at is not None and best.best != best.value:
        text += f" at its end; it was best at {words.step} {best.best_at:g} with {words.show(best.best)}"
    return text + "."


def _noise(ranking: Ranking, best: RankedTrial, noise: Noise) -> str:
    others = ranking.ranked[1:]
    points = f"{100 * noise.error:.2f} points"
    if not others:
        return f"One run on {noise.samples:,} samples is known to ±{points} (one standard error)."
    near = sum(abs(best.value - trial.value) <= 2 * noise.error for trial in others)
    known = f"One value on {noise.samples:,} samples has a standard error of {points}; from the best,"
    if not near:
        return f"{known} no other ranked run lies within two of them."
    return f"{known} {near} of {len(others)} others lie within two of them: one run each does not rank them."


def _counts(ranking: Ranking) -> str:
    count = Counter(trial.status for trial in ranking.trials)
    unranked = count[Status.FINISHED] - len(ranking.ranked)
    parts = [f"{len(ranking.ranked)} ranked"] if ranking.ranked else []
    if unranked:
        parts.append(f"{unranked} finished" + (f" without {ranking.info.metric}" if ranking.info.metric else ""))
    parts += [f"{count[kind]} {word}" for kind, word in COUNTED.items() if count[kind]]
    return f"{len(ranking.trials)} trials: {', '.join(parts) or 'none'}."


def _importance(importance: Importance) -> str:
    sure = [name for name in importance.shares if importance.says_something(name)]
    if not sure:
        return f"No field stands out from chance over {importance.trials} ranked trials."
    named = ", ".join(f"{name} ({importance.shares[name]:.0%})" for name in sure[:3])
    verb = "mattered most" if len(importance.shares) > len(sure) or len(sure) > 3 else "mattered"
    return f"What {verb} over {importance.trials} ranked trials: {named}."


def _front(ranking: Ranking) -> str:
    words, (first, *_, last) = ranking.presentation, ranking.front
    text = (
        f"The front of {ranking.info.metric} against {words.size} has {len(ranking.front)} runs, "
        f"from {words.show(first.value)} with {first.size:,.6g} to {words.show(last.value)} with {last.size:,.6g}"
    )
    return text + (f"; at most {words.limit:,.6g} are allowed." if words.limit is not None else ".")


def _against_random(ranking: Ranking, random: Sequence[float]) -> str:
    n = min(len(random), len(ranking.ranked))
    words = ranking.presentation
    reached = expected_best(random, 0.5, ranking.info.goal)[n - 1]
    return (
        f"With {n} ranked trials random search reaches {words.show(reached)} (median over the orders of its "
        f"{len(random)}) and this sweep {words.show(ranking.progress[n - 1].best)}."
    )


def _saved(ranking: Ranking) -> str:
    """What stopping early saved, where all the ranked runs went equally far: that is then what was asked for."""
    axis = ranking.presentation.axis

    def length(rows: Sequence[Mapping[str, Any]]) -> float:
        seen = [value for row in rows if (value := number(row.get(axis))) is not None]
        return seen[-1] - seen[0] + 1 if seen else 0.0

    whole = {length(trial.record.history) for trial in ranking.ranked}
    cut = [length(trial.record.history) for trial in ranking.trials if trial.status is Status.STOPPED]
    if len(whole) != 1 or not cut:
        return ""
    (each,) = whole
    asked = each * (len(cut) + len(ranking.ranked))
    done = sum(cut) + each * len(ranking.ranked)
    if done >= asked:
        return ""
    steps = ranking.presentation.plural
    return f"Stopping early saved {1 - done / asked:.0%} of the {steps} ({done:g} of {asked:g} were run)."
