"""Which number of one training tells best how good its configuration is?

    python -m scripts.objective train --replicates 6 --agents 2      # hours; goes on where it stopped
    python -m scripts.objective report                               # rank correlations, from what there is

Ten configurations are trained on the same replicates, and on the first FIRST_RUNG of them once more as a whole schedule
of five epochs. `docs/results/objective.json` holds them: eight drawn at random from what fits the budget of the search
space of `sweeps/onecycle.yaml`, the best one made by hand before that file searched its like, and step 8. Every
training is a line of the file: its whole configuration and all that it came to, so that later questions need no new
training.

The report: for each number that one training has, Spearman's rank correlation over the configurations with the mean
accuracy on the *other* replicates, averaged over the replicates; and how far an interval from a few replicates, as
`mnist-sweep finals` gives it, holds what the others say.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from mnist_sweep.config import RunConfig, parse
from mnist_sweep.search.racing import noise, paired

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docs" / "results" / "objective.jsonl"
CONFIGURATIONS = FILE.with_suffix(".json")
FIRST_RUNG, SHORT = 2, 5
ENTRANTS = 4
"""So many of the ten are compared at a time, as in a round of finals."""


def configurations() -> dict[str, dict[str, Any]]:
    """Fields of the ten configurations, by name."""
    found: dict[str, dict[str, Any]] = json.loads(CONFIGURATIONS.read_text())
    return found


def jobs(replicates: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and fields of every training, replicate by replicate, so that what is there is always paired."""
    chosen = configurations()
    for replicate in range(replicates):
        for epochs in (15, SHORT) if replicate < FIRST_RUNG else (15,):
            for name, values in chosen.items():
                yield name, {**values, "replicate": replicate, "epochs": epochs, "threads": 1}


def train(name: str, values: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    """One training and all that it came to; its logits go to `folder`. Runs in a process of its own."""
    import torch

    from mnist_sweep.training import engine, mnist
    from mnist_sweep.training.calibration import calibrated_loss, temperature

    config = engine.resolve(parse(values))
    split = mnist.selection_split(config.replicate)
    started = time.perf_counter()
    fit = engine.fit(config, split, say=print)
    row: dict[str, Any] = {"name": name, "config": config.model_dump(), "parameters": config.parameters}
    row |= {"seconds": round(time.perf_counter() - started, 1), "diverged": fit.diverged}
    row["history"] = [asdict(epoch) for epoch in fit.history]
    if not fit.diverged and fit.evaluation is not None:
        logits, labels = fit.evaluation.logits, split.evaluate.labels
        row |= {"accuracy": fit.evaluation.accuracy, "loss": fit.evaluation.loss}
        row |= {"temperature": temperature(logits, labels), "calibrated_loss": calibrated_loss(logits, labels)}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            torch.save(logits.half(), folder / f"{name.replace(' ', '-')}-{config.replicate}-{config.epochs}.pt")
    return row


def run(file: Path, replicates: int, agents: int, folder: Path | None) -> None:
    """Train what `file` does not hold yet."""
    done = [_key(row["name"], parse(row["config"])) for row in rows(file)]
    todo = [job for job in jobs(replicates) if _key(job[0], parse(job[1])) not in done]
    file.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(agents, mp_context=multiprocessing.get_context("spawn")) as pool:
        for future in as_completed([pool.submit(train, *job, folder) for job in todo]):
            row = future.result()
            with file.open("a") as out:
                out.write(json.dumps(row) + "\n")
            print(row["name"], row["config"]["replicate"], row["config"]["epochs"], row.get("accuracy"), flush=True)


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _key(name: str, config: RunConfig) -> tuple[str, int, int]:
    return name, config.replicate, config.epochs


def _last(count: int, number: str) -> Callable[[dict[str, Any]], float]:
    return lambda row: float(np.mean([epoch[number] for epoch in row["history"][-count:]]))


NUMBERS: dict[str, Callable[[dict[str, Any]], float]] = {
    "accuracy": lambda row: row["accuracy"],
    "best epoch's accuracy": lambda row: max(epoch["accuracy"] for epoch in row["history"]),
    "accuracy, mean of the last 3 epochs": _last(3, "accuracy"),
    "loss": lambda row: -row["loss"],
    "loss, mean of the last 3 epochs": lambda row: -_last(3, "loss")(row),
    "loss at the fitted temperature": lambda row: -row["calibrated_loss"],
}
"""What one training may be judged by; higher is better."""

CHOSEN = "loss at the fitted temperature"
"""What runs log as their `objective`."""


def correlations(
    found: list[dict[str, Any]], epochs: int, against: str = "accuracy", *, without: str = ""
) -> dict[str, list[float]]:
    """For each number, one rank correlation per replicate: with the mean of `against`, 15 epochs, on the others.

    The configuration `without` is left out.
    """
    whole = _table([row for row in found if row["config"]["epochs"] == 15], NUMBERS[against])
    judged = [row for row in found if row["config"]["epochs"] == epochs]
    result: dict[str, list[float]] = {}
    for title, number in NUMBERS.items():
        table = _table(judged, number)
        result[title] = []
        for replicate in sorted(set(table) & set(whole) if len(whole) > 1 else ()):
            others = [whole[other] for other in whole if other != replicate]
            names = [name for name in configurations() if name != without]
            truth = [np.mean([other[name] for other in others]) for name in names]
            result[title].append(float(spearmanr([table[replicate][name] for name in names], truth).statistic))
    return result


def differences(found: list[dict[str, Any]], epochs: int) -> dict[str, tuple[float, float]]:
    """By how much each number's mean correlation is over that of CHOSEN, and the standard error of that.

    The error is over which configurations there are: the jackknife, one left out at a time (Efron & Stein 1981).
    """

    def over_chosen(without: str = "") -> dict[str, float]:
        means = {
            title: float(np.mean(values)) for title, values in correlations(found, epochs, without=without).items()
        }
        return {title: mean - means[CHOSEN] for title, mean in means.items()}

    left_out = [over_chosen(name) for name in configurations()]
    count = len(left_out)
    return {
        title: (value, math.sqrt((count - 1) * float(np.var([part[title] for part in left_out]))))
        for title, value in over_chosen().items()
    }


@dataclass(frozen=True)
class Trust:
    """How well intervals of paired differences do, over every choice of entrants and of replicates that there is."""

    holds: float
    """Share of them that hold the difference on the replicates left out, widened by what that one is unsure by."""
    half: float
    """Median of half their width."""
    decided: float
    """Share that does not hold zero."""
    wrong: float
    """Share of the decided ones whose order is the other one on the replicates left out."""


def trust(found: list[dict[str, Any]], entrants: int, replicates: int) -> dict[str, Trust]:
    """Of the objective, with the noise learned from each pair alone, and from all entrants (`contest.noise`)."""
    table = _table([row for row in found if row["config"]["epochs"] == 15], NUMBERS[CHOSEN])
    losses = {name: {r: -by[name] for r, by in table.items()} for name in configurations()}
    cases: dict[str, list[tuple[bool, float, bool, bool]]] = {"the pair alone": [], "all entrants": []}
    for names in combinations(losses, entrants):
        for chosen in combinations(table, replicates):
            seen = {name: {r: losses[name][r] for r in chosen} for name in names}
            everybody = noise(seen)
            for one, other in combinations(names, 2):
                left_out = [losses[one][r] - losses[other][r] for r in table if r not in chosen]
                elsewhere = float(np.mean(left_out))
                for scatter, into in zip(
                    (noise({n: seen[n] for n in (one, other)}), everybody), cases.values(), strict=True
                ):
                    pair = paired(seen[one], seen[other], scatter)
                    assert pair is not None
                    wider = pair.half * math.sqrt(1 + replicates / len(left_out))
                    holds = abs(pair.difference - elsewhere) <= wider
                    into.append((holds, pair.half, not pair.tie, pair.difference * elsewhere < 0))
    return {title: _trust(*map(np.array, zip(*all_, strict=True))) for title, all_ in cases.items()}


def _trust(holds: Any, halves: Any, decided: Any, reverse: Any) -> Trust:
    return Trust(float(holds.mean()), float(np.median(halves)), float(decided.mean()), float(reverse[decided].mean()))


def _table(found: list[dict[str, Any]], number: Callable[[dict[str, Any]], float]) -> dict[int, dict[str, float]]:
    """Replicate -> configuration -> number; replicates that not every configuration has are left out."""
    table: dict[int, dict[str, float]] = {}
    for row in found:
        value = -math.inf if row["diverged"] else number(row)
        table.setdefault(row["config"]["replicate"], {})[row["name"]] = value
    return {replicate: by for replicate, by in table.items() if len(by) == len(configurations())}


def report(file: Path) -> None:
    found = rows(file)
    print("| configuration | parameters | replicates | accuracy | deviation | loss | at the fitted temperature |")
    print("|---|---|---|---|---|---|---|")
    for name in configurations():
        mine = [row for row in found if row["name"] == name and row["config"]["epochs"] == 15 and not row["diverged"]]
        if len(mine) > 1:
            accuracy, deviation = np.mean([r["accuracy"] for r in mine]), np.std([r["accuracy"] for r in mine], ddof=1)
            losses = [np.mean([row[key] for row in mine]) for key in ("loss", "calibrated_loss")]
            about = f"{mine[0]['parameters']:,} | {len(mine)} | {100 * accuracy:.2f} % | {100 * deviation:.2f} %"
            print(f"| {name} | {about} | {losses[0]:.4f} | {losses[1]:.4f} |")
    for epochs in (15, SHORT):
        accuracies, losses_ = correlations(found, epochs), correlations(found, epochs, "loss")
        if not accuracies["loss"]:
            continue  # there is nothing to correlate with
        over = differences(found, epochs)
        titles = "accuracy | (lowest to highest) | less the last row, ± standard error | loss"
        print(f"\n| {epochs} epochs: rank correlation with the others' mean | {titles} |")
        print("|---|---|---|---|---|")
        for title, values in accuracies.items():
            spread = f"{min(values):.2f} to {max(values):.2f}"
            less = "" if title == CHOSEN else "{:+.2f} ± {:.2f}".format(*over[title])
            print(f"| {title} | {np.mean(values):.2f} | {spread} | {less} | {np.mean(losses_[title]):.2f} |")
    print(f"\n| {ENTRANTS} entrants | noise from | interval holds | half its width | decided | the wrong way |")
    print("|---|---|---|---|---|---|")
    for replicates in (2, 3):
        for title, one in trust(found, ENTRANTS, replicates).items():
            holds, decided, wrong = (f"{100 * share:.0f} %" for share in (one.holds, one.decided, one.wrong))
            print(f"| {replicates} replicates | {title} | {holds} | ± {one.half:.4f} | {decided} | {wrong} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["train", "report"])
    parser.add_argument("--replicates", type=int, default=6)
    parser.add_argument("--agents", type=int, default=2, help="trainings side by side, one thread each")
    parser.add_argument("--file", type=Path, default=FILE, help="one line per training")
    parser.add_argument("--logits", type=Path, help="a folder to keep the logits in")
    arguments = parser.parse_args()
    if arguments.what == "train":
        run(arguments.file, arguments.replicates, arguments.agents, arguments.logits)
    else:
        report(arguments.file)


if __name__ == "__main__":
    main()
