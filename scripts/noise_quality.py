"""How good the search is where every training of a configuration gives another number: the truth of what it chooses.

    python scripts/noise_quality.py                                    the table, an hour or two of a core
    python scripts/noise_quality.py --seeds 2 --functions branin       a first look, a minute
    python scripts/noise_quality.py --wandb-python engine/bin/python   with W&B's own engine (package sweeps 0.3.0, in a
                                                                       virtual environment of its own)

The functions of scripts/search_quality.py, turned round and scaled to a deviation of 0.06 points over the feasible
space. A training of a configuration as replicate r gives its true value, what the held-out images of fold r are worth
to everybody (deviation 0.05), what they are worth to it alone (0.06), and the luck of its seed (0.07). Every search has
the same number of trainings, finals included; a suggestion over budget is none. The gain is the true value of what was
chosen, over that of the mean configuration; the claim is what its chooser believes of it.
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
"""Of finals: so many of the best have so many replicates in all."""
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
    """One function with its luck."""

    name: str
    seed: int

    def gain(self, params: Params) -> float:
        """The true value, in points above the mean configuration."""
        mean, deviation = scale(self.name)
        return (mean - FUNCTIONS[self.name].loss(params)) / deviation * SPREAD

    def training(self, params: Params, replicate: int) -> float:
        """What a training says."""
        own = {name: value for name, value in params.items() if name != "replicate"}
        luck = self._rng(key(own), replicate).normal(0.0, np.hypot(INTERACTION, SEED))
        return self.gain(params) + float(self._rng("fold", replicate).normal(0.0, FOLD) + luck)

    def _rng(self, what: str, replicate: int) -> np.random.Generator:
        text = f"{self.name} {self.seed} {what} {replicate}"
        return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]))


@cache
def scale(name: str) -> tuple[float, float]:
    """Mean and deviation of a function over its feasible space."""
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
    """The trial of a suggestion; one over budget is never trained."""
    over = FUNCTIONS[world.name].over
    summary = {} if over is None else {"constraint/budget": over(params)}
    if summary.get("constraint/budget", 0.0) <= 0:
        summary["points"] = world.training(params, params.get("replicate", 0))
    return Trial(str(number), params, "finished", [summary], summary)


Ask = Callable[[Sequence[Trial]], Params]


def trained(world: World, ask: Ask, trainings: int) -> list[Trial]:
    """A sweep until so many of its suggestions were trained."""
    trials: list[Trial] = []
    while sum("points" in trial.summary for trial in trials) < trainings:
        trials.append(ended(world, ask(trials), len(trials)))
    return trials


def configured(world: World, method: str, replicates: Sequence[int] | None = None) -> SweepConfig:
    """The sweep as the search has it."""
    parameters = FUNCTIONS[world.name].parameters
    if replicates is not None:
        parameters = parameters | {"replicate": {"values": list(replicates)}}
    metric = {"name": "points", "goal": "maximize"}
    return parse({"method": method, "metric": metric, "parameters": parameters})


def asking(world: World, config: SweepConfig) -> Ask:
    """The local server's search."""

    def ask(trials: Sequence[Trial]) -> Params:
        params = suggest(config, trials, seed=world.seed)
        assert params is not None
        return params

    return ask


def luckiest(world: World, trials: Sequence[Trial]) -> tuple[float, float]:
    """Gain and claim where the best observed value is believed."""
    best = max(trials, key=lambda trial: trial.summary.get("points", -np.inf))
    return world.gain(dict(best.params)), best.summary["points"]


def finals(world: World, config: SweepConfig, trials: list[Trial]) -> tuple[float, float]:
    """Gain and claim after halving the best by posterior mean over replicates, down to the best posterior mean."""
    for entrants, replicates in ROUNDS:
        for entrant in posterior(config, trials)[:entrants]:
            have = {trials[int(name)].params["replicate"] for name in entrant.runs}
            for replicate in [r for r in range(REPLICATES) if r not in have][: max(replicates - len(have), 0)]:
                if sum("points" in trial.summary for trial in trials) < TRAININGS:
                    trials.append(ended(world, {**entrant.params, "replicate": replicate}, len(trials)))
    best = posterior(config, trials)[0]
    return world.gain(dict(best.params)), best.mean


def random_search(world: World) -> tuple[float, float]:
    return luckiest(world, trained(world, asking(world, configured(world, "random")), TRAININGS))


def noise_free(world: World) -> tuple[float, float]:
    """W&B's rule, in our search: no noise, improvement over the best observed value."""
    return luckiest(world, trained(world, asking(world, configured(world, "bayes")), TRAININGS))


def noisy(world: World) -> tuple[float, float]:
    """The search that knows replicates, to the end."""
    config = configured(world, "bayes", range(REPLICATES))
    best = posterior(config, trained(world, asking(world, config), TRAININGS))[0]
    return world.gain(dict(best.params)), best.mean


def noisy_and_finals(world: World) -> tuple[float, float]:
    """The search that knows replicates, with the last trainings for finals."""
    config = configured(world, "bayes", range(REPLICATES))
    return finals(world, config, trained(world, asking(world, config), TRAININGS - FINALS))


def wandb_engine(world: World, python: str) -> tuple[float, float]:
    """W&B's published engine, in a process of its own."""
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

        found = luckiest(world, trained(world, ask, TRAININGS))
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


def one(name: str, method: str, seed: int, python: str) -> tuple[float, float]:
    """One search."""
    world = World(name, seed)
    return wandb_engine(world, python) if method == WANDB else SEARCHES[method](world)


def rows(names: Sequence[str], methods: Sequence[str], seeds: int, jobs: int, python: str) -> Iterator[dict[str, Any]]:
    """One row of the table per function and search, as they are done."""
    with ProcessPoolExecutor(jobs) as pool:
        for name in names:
            for method in methods:
                asked = [(name, method, seed, python) for seed in range(seeds)]
                found = list(pool.map(one, *zip(*asked, strict=True)))
                gains, claims = [gain for gain, _ in found], [claim for _, claim in found]
                error = stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
                yield {"function": name, "method": method, "gain": fmean(gains), "error": error, "claim": fmean(claims)}


def main() -> None:
    """Print the table as it grows, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="searches per row (default %(default)s)")
    parser.add_argument("--functions", nargs="+", default=list(FUNCTIONS), choices=list(FUNCTIONS), help="default: all")
    parser.add_argument("--methods", nargs="+", default=list(SEARCHES), choices=[*SEARCHES, WANDB], help="default: all")
    parser.add_argument("--wandb-python", default="", help="a Python with W&B's package sweeps, for its row")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default %(default)s)")
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
