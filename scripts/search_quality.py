"""Compare the local server's search (`suggest`) with random search on test functions.

    python scripts/search_quality.py                             the whole table, about 20 core-minutes
    python scripts/search_quality.py --seeds 2 --functions branin     a quick check, seconds

Branin and Hartmann-6 are standard functions (https://www.sfu.ca/~ssurjano/optimization.html). `budget` resembles the
search for a small network, with four channel widths, a head, an activation, a learning rate and dropout. Its parameter
count must stay under 10,000, which 42 % of the space satisfies. A run reports the excess as a constraint. A run over
the budget reports no loss. "bayes, busy" is the cheaper sampler that the search uses while many runs are in progress.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from mnist_sweep.search import Trial, bayes, parse, suggest

TRIALS, LATE = 50, 30
METHODS = ("random", "bayes", "bayes, busy")
BUDGET = 10_000

Params = dict[str, Any]


@dataclass(frozen=True)
class Function:
    """A function to minimise: its search space, its minimum, and its constraint, positive if violated."""

    parameters: Params
    loss: Callable[[Params], float]
    minimum: float
    over: Callable[[Params], float] | None = None


def branin(p: Params) -> float:
    """Return Branin's function, which has two dimensions and three equal minima."""
    x, y = p["x"], p["y"]
    valley = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return float(valley**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


HARTMANN_WEIGHTS = (1.0, 1.2, 3.0, 3.2)
HARTMANN_A = (
    (10, 3, 17, 3.5, 1.7, 8),
    (0.05, 10, 17, 0.1, 8, 14),
    (3, 3.5, 1.7, 10, 17, 8),
    (17, 8, 0.05, 10, 0.1, 14),
)
HARTMANN_P = (
    (1312, 1696, 5569, 124, 8283, 5886),
    (2329, 4135, 8307, 3736, 1004, 9991),
    (2348, 1451, 3522, 2883, 3047, 6650),
    (4047, 8828, 8732, 5743, 1091, 381),
)


def hartmann6(p: Params) -> float:
    """Return Hartmann's function, which has six dimensions and six minima."""
    x = [p[f"x{i}"] for i in range(6)]
    total = 0.0
    for weight, scales, centre in zip(HARTMANN_WEIGHTS, HARTMANN_A, HARTMANN_P, strict=True):
        total += weight * math.exp(-sum(a * (xi - c / 1e4) ** 2 for a, xi, c in zip(scales, x, centre, strict=True)))
    return -total


OFFSET = {"relu": 0.0, "gelu": -0.05, "tanh": 0.3}
BEST_LOG_LR = {"relu": -1.0, "gelu": -1.3, "tanh": -1.8}
HEAD = {0: 0.15, 8: 0.03, 16: 0.0}


def network_loss(p: Params) -> float:
    """Return a loss that falls with every width. Its best learning rate depends on activation and dropout."""
    bias = sum(weight / p[f"w{i}"] for i, weight in enumerate((2, 4, 7, 9), start=1))
    log_lr = math.log10(p["lr"]) - BEST_LOG_LR[p["activation"]] + 2 * p["dropout"]
    dropout = p["dropout"] - 0.12 / (0.5 + bias)
    return float(0.4 + bias + 0.5 * log_lr**2 + 12 * dropout**2 + OFFSET[p["activation"]] + HEAD[p["head"]])


def network_over(p: Params) -> float:
    """Return the parameters above the budget: 3×3 convolutions with batch norm, then one or two linear layers."""
    widths = [1, *(p[f"w{i}"] for i in range(1, 5))]
    convolutions = 9 * sum(a * b for a, b in pairwise(widths)) + 2 * sum(widths[1:])
    head = (widths[-1] + 11) * p["head"] if p["head"] else 10 * widths[-1]
    return float(convolutions + head - (BUDGET - 1))


FUNCTIONS = {
    "branin": Function({"x": {"min": -5.0, "max": 10.0}, "y": {"min": 0.0, "max": 15.0}}, branin, 0.397887),
    "hartmann6": Function({f"x{i}": {"min": 0.0, "max": 1.0} for i in range(6)}, hartmann6, -3.322368),
    "budget": Function(
        {f"w{i}": {"min": 8, "max": 32} for i in range(1, 5)}
        | {"head": {"values": [0, 8, 16]}, "activation": {"values": ["relu", "gelu", "tanh"]}}
        | {"lr": {"distribution": "log_uniform_values", "min": 1e-3, "max": 1.0}, "dropout": {"min": 0.0, "max": 0.3}},
        network_loss,
        1.454622,  # widths 14, 16, 17, 30, head 16, gelu: found by enumeration of all widths
        network_over,
    ),
}


@dataclass(frozen=True)
class Search:
    """One sweep: regret of its best trial, share of late trials over the budget, and seconds per suggestion."""

    regret: float
    infeasible_late: float
    seconds: list[float]


def search(name: str, method: str, agents: int, seed: int) -> Search:
    """Run one sweep of `TRIALS` trials with parallel agents. Each agent asks again when its trial has ended."""
    function = FUNCTIONS[name]
    bayes.MAX_RUNNING = -1 if "busy" in method else 8
    config = parse({"method": method.split(",")[0], "metric": {"name": "loss"}, "parameters": function.parameters})
    trials: list[Trial] = []
    seconds = []
    for number in range(TRIALS):
        started = time.perf_counter()
        params = suggest(config, trials, seed=seed)
        seconds.append(time.perf_counter() - started)
        assert params is not None
        trials.append(Trial(str(number), params, "running"))
        if number >= agents - 1:
            trials[number - agents + 1] = ended(function, trials[number - agents + 1])
    trials = [ended(function, trial) for trial in trials]
    losses = [trial.summary["loss"] for trial in trials if "loss" in trial.summary]
    late = [trial.summary.get("constraint/budget", 0.0) > 0 for trial in trials[LATE:]]
    return Search(min(losses) - function.minimum, sum(late) / len(late), seconds)


def ended(function: Function, trial: Trial) -> Trial:
    """Return the trial with its outcome. A trial over the budget is not trained."""
    summary: dict[str, float] = {}
    if function.over:
        summary["constraint/budget"] = function.over(dict(trial.params))
    if summary.get("constraint/budget", 0.0) <= 0:
        summary["loss"] = function.loss(dict(trial.params))
    return Trial(trial.name, trial.params, "finished", [summary], summary)


def rows(names: list[str], agent_counts: list[int], seeds: int, jobs: int) -> Iterator[dict[str, Any]]:
    """Yield one row of the table per function, number of agents and method as each finishes."""
    with ProcessPoolExecutor(jobs) as pool:
        for name in names:
            for agents in agent_counts:
                found: dict[str, list[Search]] = {}
                for method in METHODS:
                    found[method] = list(
                        pool.map(search, *zip(*[(name, method, agents, s) for s in range(seeds)], strict=True))
                    )
                    pairs = zip(found[method], found["random"], strict=True)
                    regrets = [run.regret for run in found[method]]
                    first, _, third = quantiles(regrets, n=4, method="inclusive") if seeds > 1 else regrets * 3
                    waits = sorted(second for run in found[method] for second in run.seconds)
                    yield {
                        "function": name,
                        "agents": agents,
                        "method": method,
                        "median_regret": median(regrets),
                        "quartiles": [first, third],
                        "wins_over_random": sum(run.regret < random.regret for run, random in pairs),
                        "seeds": seeds,
                        "infeasible_late": sum(run.infeasible_late for run in found[method]) / seeds,
                        "median_seconds": median(waits),
                        "p99_seconds": waits[int(0.99 * len(waits))],
                        "runs": [asdict(run) | {"seconds": None} for run in found[method]],
                    }


def main() -> None:
    """Print each row as it finishes, and write the table as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="sweeps per row (default %(default)s)")
    parser.add_argument("--functions", nargs="+", default=list(FUNCTIONS), choices=list(FUNCTIONS), help="default: all")
    parser.add_argument(
        "--agents", nargs="+", type=int, default=[1, 2], help="numbers of parallel agents (default %(default)s)"
    )
    parser.add_argument("--jobs", type=int, default=1, help="parallel processes (default %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    args = parser.parse_args()
    print("| function | agents | method | median regret | quartiles | beats random | over budget late | s/suggestion |")
    print("|---|---|---|---|---|---|---|---|")
    table = []
    for row in rows(args.functions, args.agents, args.seeds, args.jobs):
        table.append(row)
        late = f"{row['infeasible_late']:.1%}" if FUNCTIONS[row["function"]].over else "–"
        wins = "–" if row["method"] == "random" else f"{row['wins_over_random']}/{args.seeds}"
        print(
            f"| {row['function']} | {row['agents']} | {row['method']} | {row['median_regret']:.4f} "
            f"| {row['quartiles'][0]:.4f}–{row['quartiles'][1]:.4f} | {wins} | {late} | {row['median_seconds']:.3f} |",
            flush=True,
        )
        if args.json:
            args.json.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
