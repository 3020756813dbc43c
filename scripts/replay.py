"""Replay searches on recorded trainings, and compare the true worth of their selections at equal cost.

    python -m scripts.replay --figure docs/images/replay.svg       all engines in the simulated world, five minutes
    python -m scripts.replay --against "W&B's rule"                the same searches against another baseline
    python -m scripts.replay --repetitions 5 --engines random      a quick check, seconds
    python -m scripts.replay --world table                         the real trainings of docs/results/table.jsonl

Each repetition is one line of `docs/results/replay.jsonl`. The command skips those that the file holds for the present
table, and ignores those of an earlier table.

A replayed search "trains" by looking up a training: it pays that training's core-seconds and learns its objective. It
is judged by the true objective of the configuration that it selects, relative to the average configuration. Claims are
judged without the effects of the folds, which are the same for all configurations.

- **table**: the trainings are real. The truth is the mean of the replicates, at 15 epochs, that the search never saw.
  Each repetition takes a random three quarters of the configurations and the replicates in random order. Intervals are
  over these choices; those of another table would differ more.
- **simulated**: the table's space with POOL configurations. The truth is a function drawn from a Gaussian
  process fitted to all real trainings of this space, so it agrees with them and varies where there are none. The
  noise of a training, the effect of a fold, the relation of 5 to 15 epochs and the costs are measured on the table.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import signal
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from scipy.special import stdtrit
from threadpoolctl import threadpool_limits

from mnist_sweep.agents.child import end_with_parent
from scripts.objective import rows
from scripts.replay_engines import ENGINES, Engine, Session
from scripts.replay_table import RESULTS, measured
from scripts.replay_worlds import World, simulated_world, table_world
from scripts.table import WHOLE

ROWS = RESULTS / "replay.jsonl"
CHECKPOINTS = (8, 16, 30, 60)
"""Budgets, in the cost of an average training of 15 epochs."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One search at one budget."""

    budget: int
    """Budget in trainings of 15 epochs."""
    gain: float
    """True objective below the average configuration's."""
    claim: float
    """The claimed gain; NaN if there is none."""
    top: bool
    """Whether the selected configuration is truly among the best tenth of the world."""


def replay(engine: Engine, world: World, seed: int, checkpoints: Sequence[int] = CHECKPOINTS) -> list[Outcome]:
    """Run one search, and select at every checkpoint what would have been selected at that budget."""
    session = Session(world, np.random.default_rng(seed))
    best_tenth = _best_tenth(world)
    outcomes = []
    for checkpoint in checkpoints:
        budget = checkpoint * world.whole_training
        reserved = budget * engine.share if engine.finals is not None else 0.0
        queue: list[int] = []
        while session.spent < budget - reserved and len(session.untried()):
            queue = queue or list(engine.propose(session))
            configuration = queue.pop(0)
            session.train(configuration, world.allowed(configuration)[0], engine.trials)
        fork = session.copy()
        if engine.finals is None:
            selected = engine.select(fork)
        else:
            selected = engine.finals(fork, engine.order(fork), budget - fork.spent)
        claim = -selected.claim if engine.trials == WHOLE or engine.finals is not None else math.nan
        outcomes.append(
            Outcome(
                budget=checkpoint,
                gain=world.gain(selected.configuration, fork.seen(selected.configuration)),
                claim=claim,
                top=selected.configuration in best_tenth,
            )
        )
    return outcomes


def _best_tenth(world: World) -> set[int]:
    """Return the best tenth of a world's configurations: by the truth, or by the mean of all replicates."""
    truth = world.truth
    if truth is None:
        truth = np.nanmean(world.losses[WHOLE] - world.offsets[WHOLE], axis=1)
    return set(np.argsort(truth)[: max(1, world.count // 10)].tolist())


@dataclass(frozen=True, kw_only=True)
class Job:
    """One repetition of one engine in one world."""

    world: str
    """`table`, `simulated`, or `simulated 0.50` with another correlation of 5 and 15 epochs than measured."""
    engine: str
    seed: int


def run(job: Job) -> dict[str, Any]:
    """Run one repetition and return its row: gains, claims and `top` by checkpoint."""
    kind, _, correlation = job.world.partition(" ")
    with threadpool_limits(1):
        world = (
            table_world(job.seed)
            if kind == "table"
            else simulated_world(job.seed, float(correlation) if correlation else None)
        )
        outcomes = replay(ENGINES[job.engine], world, job.seed, CHECKPOINTS)
    return asdict(job) | {
        "version": measured().version,
        "budgets": list(CHECKPOINTS),
        "gains": [round(outcome.gain, 6) for outcome in outcomes],
        "claims": [None if math.isnan(outcome.claim) else round(outcome.claim, 6) for outcome in outcomes],
        "top": [int(outcome.top) for outcome in outcomes],
    }


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One engine at one budget; intervals are 95 %."""

    engine: str
    budget: int
    """Budget in trainings of 15 epochs."""
    repetitions: int
    gain: float
    """True gain over the average configuration, in units of the objective."""
    half: float
    """Half the width of its interval."""
    ahead: float
    """Gain less that of the baseline in the same worlds; NaN without common worlds."""
    ahead_half: float
    ratio: tuple[float, float, float]
    """Gain over that of the baseline, with its interval; NaN where the baseline's gain may be zero."""
    over: float
    """Claimed less true gain; NaN if nothing is claimed."""
    over_half: float
    top: tuple[float, float, float]
    """Share of searches that select one of the best tenth, with Wilson's interval."""


def summarise(found: Sequence[Mapping[str, Any]], world: str, baseline: str = "random") -> list[Summary]:
    """Summarise the rows of one world. Comparisons use the repetitions that the engine shares with the baseline."""
    by_engine: dict[str, dict[int, Mapping[str, Any]]] = defaultdict(dict)
    for row in found:
        if row["world"] == world:
            by_engine[row["engine"]][row["seed"]] = row
    summaries = []
    for engine in [name for name in ENGINES if name in by_engine]:
        runs, base = by_engine[engine], by_engine.get(baseline, {})
        shared = sorted(runs.keys() & base.keys())
        for i, budget in enumerate(CHECKPOINTS):
            gains = np.array([run["gains"][i] for run in runs.values()])
            claims = np.array([run["claims"][i] for run in runs.values()], float)  # None becomes NaN
            pairs = np.array([[runs[seed]["gains"][i], base[seed]["gains"][i]] for seed in shared]).reshape(-1, 2)
            summaries.append(
                Summary(
                    engine=engine,
                    budget=budget,
                    repetitions=len(runs),
                    gain=float(gains.mean()),
                    half=_half(gains),
                    ahead=float((pairs[:, 0] - pairs[:, 1]).mean()) if shared else math.nan,
                    ahead_half=_half(pairs[:, 0] - pairs[:, 1]),
                    ratio=_ratio(pairs),
                    over=float((claims - gains).mean()),
                    over_half=_half(claims - gains),
                    top=_share(sum(run["top"][i] for run in runs.values()), len(runs)),
                )
            )
    return summaries


def _half(values: Any) -> float:
    """Return half the width of the 95 % interval of a mean (Student's t)."""
    if len(values) < 2:
        return math.inf
    return float(stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / math.sqrt(len(values)))


def _ratio(pairs: Any) -> tuple[float, float, float]:
    """Return the ratio of the means of pairs, shape (n, 2), with its interval by a bootstrap over the pairs."""
    if len(pairs) < 2:
        return math.nan, math.nan, math.nan
    resampled = pairs[np.random.default_rng(0).integers(0, len(pairs), (4000, len(pairs)))].mean(1)
    if np.percentile(resampled[:, 1], 2.5) <= 0:
        return math.nan, math.nan, math.nan
    low, high = np.percentile(resampled[:, 0] / resampled[:, 1], [2.5, 97.5])
    return float(pairs[:, 0].mean() / pairs[:, 1].mean()), float(low), float(high)


def _share(successes: int, count: int) -> tuple[float, float, float]:
    """Return a share with its 95 % interval (Wilson 1927)."""
    share, z = successes / count, 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return share, middle - half, middle + half


def table(summaries: Sequence[Summary], points_per_loss: float, baseline: str = "random") -> Iterator[str]:
    """Yield the lines of a Markdown table; gains are in points of held-out accuracy."""
    yield f"| search | budget | true gain | ahead of {baseline} | ratio | claimed minus true | best tenth, % |"
    yield "| -- | -- | -- | -- | -- | -- | -- |"
    for each in summaries:
        points = {
            name: f"{points_per_loss * value:{sign}.3f} ± {points_per_loss * half:.3f}" if value == value else ""
            for name, sign, value, half in (
                ("gain", "", each.gain, each.half),
                ("ahead", "+", each.ahead, each.ahead_half),
                ("over", "+", each.over, each.over_half),
            )
        }
        ratio = "" if math.isnan(each.ratio[0]) else "{:.1f} ({:.1f} to {:.1f})".format(*each.ratio)
        best = "{:.0f} ({:.0f} to {:.0f})".format(*(100 * share for share in each.top))
        row = [f"{each.engine} ({each.repetitions})", str(each.budget), points["gain"], points["ahead"], ratio]
        yield f"| {' | '.join([*row, points['over'], best])} |"


DRAWN = {
    "wide bound + finals": ("#1f6feb", "5 epochs, 20,000 images, finals"),
    "short bound + finals": ("#2da44e", "5 epochs, model, finals"),
    "bound": ("#8957e5", "15 epochs, model"),
    "random + finals": ("#bf8700", "15 epochs, random, finals"),
    "W&B's rule": ("#cf222e", "15 epochs, W&B's rule"),
    "TPE": ("#57606a", "15 epochs, TPE"),
    "random": ("#8c959f", "15 epochs, random"),
}
"""Engines in the figure: colour and label."""


def draw(summaries: Sequence[Summary], points_per_loss: float, minutes: float, world: str) -> str:
    """Return the figure as SVG: true gain against cost, with 95 % intervals and the name of the world."""
    width, height, left, right, top, bottom = 760, 420, 64, 210, 24, 56
    drawn = [each for each in summaries if each.engine in DRAWN and math.isfinite(each.half)]
    if not drawn:
        raise SystemExit(f"--figure needs at least two repetitions of one of: {', '.join(DRAWN)}")
    highest = max((each.gain + each.half) * points_per_loss for each in drawn)

    def x(budget: float) -> float:
        low, high = math.log(CHECKPOINTS[0]), math.log(CHECKPOINTS[-1])
        return left + (math.log(budget) - low) / (high - low) * (width - left - right)

    def y(points: float) -> float:
        return height - bottom - points / highest * (height - top - bottom)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12"><rect width="{width}" height="{height}" fill="white"/>'
    ]
    for step in range(int(highest / 0.01) + 1):
        at = y(step / 100)
        parts.append(f'<path d="M{left} {at:.1f}H{width - right}" stroke="#d8dee4"/>')
        parts.append(f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{step / 100:.2f}</text>')
    for budget in CHECKPOINTS:
        parts.append(
            f'<text x="{x(budget):.1f}" y="{height - bottom + 18}" text-anchor="middle">{budget * minutes:.0f}</text>'
        )
    parts.append(
        f'<text x="{(left + width - right) / 2}" y="{height - 12}" text-anchor="middle">'
        "cost of search and finals, core-minutes (AVX-512)</text>"
        f'<text transform="translate(16 {(top + height - bottom) / 2}) rotate(-90)" text-anchor="middle">'
        "true gain over the average configuration, points</text>"
        f'<text x="{left + 8}" y="16" fill="#57606a">world: {world}</text>'
    )
    labels = []
    for place, (engine, (colour, label)) in enumerate(DRAWN.items()):
        own = [each for each in drawn if each.engine == engine]
        if not own:
            continue
        shift = (place - len(DRAWN) / 2) * 3  # the shift keeps intervals from hiding each other
        dots = [(x(each.budget) + shift, y(each.gain * points_per_loss), each) for each in own]
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b, _ in dots)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for a, _, each in dots:
            low, high = (y((each.gain + sign * each.half) * points_per_loss) for sign in (-1, 1))
            parts.append(f'<path d="M{a:.1f} {low:.1f}V{high:.1f}" stroke="{colour}" opacity="0.6"/>')
        labels.append((dots[-1][1], colour, label))
    lowest = 0.0
    for at, colour, label in sorted(labels):
        lowest = max(at, lowest + 16)
        parts.append(f'<text x="{width - right + 12}" y="{lowest + 4:.1f}" fill="{colour}">{escape(label)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    """Run the repetitions that the file lacks, print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--world", choices=["simulated", "table"], default="simulated", help="world to search in (default %(default)s)"
    )
    parser.add_argument("--repetitions", type=int, default=48, help="searches per engine (default %(default)s)")
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES), help="default: all")
    parser.add_argument(
        "--correlation",
        type=float,
        help="correlation of the objectives at 5 and 15 epochs, in the simulated world (default: as measured)",
    )
    parser.add_argument(
        "--against", choices=list(ENGINES), default="random", help="baseline of the comparison (default %(default)s)"
    )
    parser.add_argument("--jobs", type=int, default=1, help="parallel processes (default %(default)s)")
    parser.add_argument("--file", type=Path, default=ROWS, help="one line per repetition (default %(default)s)")
    parser.add_argument("--figure", type=Path, help="draw the true gain against the cost to this SVG file")
    arguments = parser.parse_args()
    world = arguments.world
    if world == "simulated" and arguments.correlation is not None:
        world = f"simulated {arguments.correlation:.2f}"
    wanted = [
        Job(world=world, engine=engine, seed=seed)
        for engine in arguments.engines
        for seed in range(arguments.repetitions)
    ]

    def present() -> list[Mapping[str, Any]]:
        return [row for row in rows(arguments.file) if row["version"] == measured().version]

    done = {(row["world"], row["engine"], row["seed"]) for row in present()}
    todo = [job for job in wanted if (job.world, job.engine, job.seed) not in done]
    context = multiprocessing.get_context("spawn")
    workers = ProcessPoolExecutor(arguments.jobs, context, end_with_parent, (signal.SIGTERM,))
    with workers as executor, arguments.file.open("a") as out:
        for row in executor.map(run, todo):
            out.write(json.dumps(row) + "\n")
            out.flush()
    summaries = summarise(present(), world, arguments.against)
    minutes = fmean(measured().seconds) / 60
    print(f"World: {world}. Budgets are in whole trainings of {minutes:.1f} core-minutes.\n")
    print("\n".join(table(summaries, measured().points_per_loss, arguments.against)))
    if arguments.figure is not None:
        arguments.figure.write_text(draw(summaries, measured().points_per_loss, minutes, world))


if __name__ == "__main__":
    main()
