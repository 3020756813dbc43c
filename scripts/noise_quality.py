"""Measure how good a search is with noisy trainings: the true value of the configuration that it selects.

    python scripts/noise_quality.py                                    the whole table, one to two core-hours
    python scripts/noise_quality.py --seeds 2 --functions branin       a quick check, one minute
    python scripts/noise_quality.py --wandb-python engine/bin/python   with W&B's own engine (package sweeps 0.3.0, in a
                                                                       virtual environment of its own)

The functions are those of scripts/search_quality.py, negated and scaled to a standard deviation of 0.06 points over the
feasible space. A training of a configuration as replicate r returns its true value plus three random effects: of fold r
on all configurations (deviation 0.05), of fold r on this configuration (0.06), and of the seed (0.07). Every search has
the same number of trainings, including finals. A suggestion over the budget is not trained and does not count. The gain
is the true value of the selected configuration minus that of the mean configuration. The claim is the value that the
search reports for it.
"""

import argparse
import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from mnist_sweep.search import SweepConfig, Trial, parse, posterior, suggest
from mnist_sweep.search.distributions import key
from scripts.search_quality import FUNCTIONS, Params

TRAININGS, REPLICATES = 60, 12
SPREAD, FOLD, INTERACTION, SEED = 0.06, 0.05, 0.06, 0.07
ROUNDS = ((6, 3), (3, 5))
"""Rounds of the finals: number of best configurations, and replicates of each in total."""
FINALS = 15
WORKER = """
import json, sys
from sweeps import SweepRun, next_run
for line in sys.stdin:
    config, runs = json.loads(line)
    found = next_run(config, [SweepRun(**run) for run in runs], validate=False)
    print(json.dumps({name: value["value"] for name, value in found.config.items()}), flush=True)
"""


@dataclass(frozen=True)
class World:
    """One test function with its noise."""

    name: str
    seed: int

    def gain(self, params: Params) -> float:
        """Return the true value, in points above the mean configuration."""
        mean, deviation = scale(self.name)
        return (mean - FUNCTIONS[self.name].loss(params)) / deviation * SPREAD

    def training(self, params: Params, replicate: int) -> float:
        """Return the noisy result of one training, in points."""
        own = {name: value for name, value in params.items() if name != "replicate"}
        residual = self._rng(key(own), replicate).normal(0.0, np.hypot(INTERACTION, SEED))
        return self.gain(params) + float(self._rng("fold", replicate).normal(0.0, FOLD) + residual)

    def _rng(self, what: str, replicate: int) -> np.random.Generator:
        text = f"{self.name} {self.seed} {what} {replicate}"
        return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]))


@cache
def scale(name: str) -> tuple[float, float]:
    """Return the mean and the standard deviation of a function over its feasible space."""
    function, losses = FUNCTIONS[name], []
    config = parse({"method": "random", "parameters": function.parameters})
    trial = Trial("", {}, "finished")
    for number in range(4000):
        params = suggest(config, [trial] * number, seed=1)
        assert params is not None
        if function.over is None or function.over(params) <= 0:
            losses.append(function.loss(params))
    return fmean(losses), stdev(losses)


def ended(world: World, params: Params, number: int) -> Trial:
    """Return the finished trial of a suggestion. A suggestion over the budget is not trained."""
    over = FUNCTIONS[world.name].over
    summary = {} if over is None else {"constraint/budget": over(params)}
    if summary.get("constraint/budget", 0.0) <= 0:
        summary["points"] = world.training(params, params.get("replicate", 0))
    return Trial(str(number), params, "finished", [summary], summary)


Ask = Callable[[Sequence[Trial]], Params]


def trained(world: World, ask: Ask, trainings: int) -> list[Trial]:
    """Return the trials of a sweep that ends after `trainings` trained suggestions."""
    trials: list[Trial] = []
    while sum("points" in trial.summary for trial in trials) < trainings:
        trials.append(ended(world, ask(trials), len(trials)))
    return trials


def configured(world: World, method: str, replicates: Sequence[int] | None = None) -> SweepConfig:
    """Return the configuration of the sweep."""
    parameters = FUNCTIONS[world.name].parameters
    if replicates is not None:
        parameters = parameters | {"replicate": {"values": list(replicates)}}
    metric = {"name": "points", "goal": "maximize"}
    return parse({"method": method, "metric": metric, "parameters": parameters})


def local_search(world: World, config: SweepConfig) -> Ask:
    """Return a function that asks the local server's search for the next configuration."""

    def ask(trials: Sequence[Trial]) -> Params:
        params = suggest(config, trials, seed=world.seed)
        assert params is not None
        return params

    return ask


def best_observed(world: World, trials: Sequence[Trial]) -> tuple[float, float]:
    """Return the gain and the claim of the configuration with the best observed value."""
    best = max(trials, key=lambda trial: trial.summary.get("points", -np.inf))
    return world.gain(dict(best.params)), best.summary["points"]


def finals(world: World, config: SweepConfig, trials: list[Trial]) -> tuple[float, float]:
    """Return the gain and the claim of the best posterior mean after finals by successive halving."""
    for entrants, replicates in ROUNDS:
        for entrant in posterior(config, trials)[:entrants]:
            present = {trials[int(name)].params["replicate"] for name in entrant.runs}
            for replicate in [r for r in range(REPLICATES) if r not in present][: max(replicates - len(present), 0)]:
                if sum("points" in trial.summary for trial in trials) < TRAININGS:
                    trials.append(ended(world, {**entrant.params, "replicate": replicate}, len(trials)))
    best = posterior(config, trials)[0]
    return world.gain(dict(best.params)), best.mean


def random_search(world: World) -> tuple[float, float]:
    """Search at random."""
    return best_observed(world, trained(world, local_search(world, configured(world, "random")), TRAININGS))


def noise_free(world: World) -> tuple[float, float]:
    """Search by W&B's rule with our code: no noise, expected improvement over the best observed value."""
    return best_observed(world, trained(world, local_search(world, configured(world, "bayes")), TRAININGS))


def noisy(world: World) -> tuple[float, float]:
    """Search with the model that knows replicates, without finals."""
    config = configured(world, "bayes", range(REPLICATES))
    best = posterior(config, trained(world, local_search(world, config), TRAININGS))[0]
    return world.gain(dict(best.params)), best.mean


def noisy_and_finals(world: World) -> tuple[float, float]:
    """Search with the model that knows replicates, and use the last trainings for finals."""
    config = configured(world, "bayes", range(REPLICATES))
    return finals(world, config, trained(world, local_search(world, config), TRAININGS - FINALS))


def wandb_engine(world: World, python: str) -> tuple[float, float]:
    """Search with W&B's published engine, in a child process."""
    parameters = {
        name: spec if "distribution" in spec or "values" in spec else spec | {"distribution": _distribution(spec)}
        for name, spec in FUNCTIONS[world.name].parameters.items()
    }
    config = {"method": "bayes", "metric": {"name": "points", "goal": "maximize"}, "parameters": parameters}
    seeded = f"import random, numpy; random.seed({world.seed}); numpy.random.seed({world.seed})\n" + WORKER
    with subprocess.Popen([python, "-c", seeded], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as engine:
        assert engine.stdin is not None
        assert engine.stdout is not None
        asked, answered = engine.stdin, engine.stdout

        def ask(trials: Sequence[Trial]) -> Params:
            runs = [
                {
                    "name": trial.name,
                    "state": "finished",
                    "config": {name: {"value": value} for name, value in trial.params.items()},
                    "summary_metrics": dict(trial.summary),
                    "history": [dict(row) for row in trial.history],
                }
                for trial in trials
            ]
            asked.write(json.dumps([config, runs]) + "\n")
            asked.flush()
            params: Params = json.loads(answered.readline())
            return params

        found = best_observed(world, trained(world, ask, TRAININGS))
        asked.close()
    return found


def _distribution(spec: dict[str, Any]) -> str:
    return "int_uniform" if isinstance(spec["min"], int) else "uniform"


SEARCHES: dict[str, Callable[[World], tuple[float, float]]] = {
    "random, best observed": random_search,
    "W&B's rule (noise-free), best observed": noise_free,
    "ours, best posterior mean": noisy,
    "ours + finals": noisy_and_finals,
}
WANDB = "W&B's engine, best observed"


def run_search(name: str, method: str, seed: int, python: str) -> tuple[float, float]:
    """Run one search and return its gain and claim."""
    world = World(name, seed)
    return wandb_engine(world, python) if method == WANDB else SEARCHES[method](world)


def rows(names: Sequence[str], methods: Sequence[str], seeds: int, jobs: int, python: str) -> Iterator[dict[str, Any]]:
    """Yield one row of the table per function and search as each finishes."""
    with ProcessPoolExecutor(jobs) as pool:
        for name in names:
            for method in methods:
                asked = [(name, method, seed, python) for seed in range(seeds)]
                found = list(pool.map(run_search, *zip(*asked, strict=True)))
                gains, claims = [gain for gain, _ in found], [claim for _, claim in found]
                error = stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
                yield {"function": name, "method": method, "gain": fmean(gains), "error": error, "claim": fmean(claims)}


def main() -> None:
    """Print each row as it finishes, and write the table as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="searches per row (default %(default)s)")
    parser.add_argument("--functions", nargs="+", default=list(FUNCTIONS), choices=list(FUNCTIONS), help="default: all")
    parser.add_argument("--methods", nargs="+", default=list(SEARCHES), choices=[*SEARCHES, WANDB], help="default: all")
    parser.add_argument(
        "--wandb-python", default="", help="a Python interpreter with W&B's package `sweeps`; adds its row"
    )
    parser.add_argument("--jobs", type=int, default=1, help="parallel processes (default %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    args = parser.parse_args()
    methods = [*args.methods, *([WANDB] if args.wandb_python and WANDB not in args.methods else [])]
    print("| function | search | true gain, points | standard error | claimed | possible |")
    print("|---|---|---|---|---|---|")
    table = []
    for row in rows(args.functions, methods, args.seeds, args.jobs, args.wandb_python):
        table.append(row)
        mean, deviation = scale(row["function"])
        possible = (mean - FUNCTIONS[row["function"]].minimum) / deviation * SPREAD
        print(
            f"| {row['function']} | {row['method']} | {row['gain']:.3f} | {row['error']:.3f} | {row['claim']:.3f} "
            f"| {possible:.3f} |",
            flush=True,
        )
        if args.json:
            args.json.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
