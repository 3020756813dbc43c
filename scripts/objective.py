"""Find the number of a single training that predicts best how good its configuration is.

    python -m scripts.objective train --replicates 6 --agents 2      # takes hours; resumes
    python -m scripts.objective report                               # rank correlations of the recorded trainings

Ten configurations are trained on the same replicates. On the first FIRST_RUNG replicates, they are also trained with a
schedule of five epochs. `docs/results/objective.json` defines them. Eight are random configurations from the search
space of `sweeps/onecycle.yaml`, within the parameter limit. The others are step 8 and the best configuration that was
made by hand before that sweep. Every training is one line of the file, with its configuration and all its results. New
questions need no new training.

The report has two parts. The first gives, for each number of a training, Spearman's rank correlation over the
configurations with the mean accuracy on the *other* replicates, averaged over the replicates. The second measures how
often an interval from a few replicates, as in `mnist-sweep finals`, contains the difference on the other replicates.
"""

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
"""Number of configurations compared at a time, as in a round of finals."""


def configurations() -> dict[str, dict[str, Any]]:
    """Return the fields of the ten configurations, by name."""
    found: dict[str, dict[str, Any]] = json.loads(CONFIGURATIONS.read_text())
    return found


def jobs(replicates: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and fields of every training, replicate by replicate, so that partial results are paired."""
    chosen = configurations()
    for replicate in range(replicates):
        for epochs in (15, SHORT) if replicate < FIRST_RUNG else (15,):
            for name, values in chosen.items():
                yield name, {**values, "replicate": replicate, "epochs": epochs, "threads": 1}


def train(name: str, values: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    """Run one training and return its row. Save its logits in `folder`. Runs in a child process."""
    import torch

    from mnist_sweep.training import engine, mnist
    from mnist_sweep.training.calibration import calibrated_loss, temperature

    config = engine.resolve(parse(values))
    split = mnist.selection_split(config.folds, config.deskew)
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
    """Run the trainings that `file` lacks, and append each row as it finishes."""
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
    """Return the rows of a file of JSON lines; none if it does not exist."""
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
"""Numbers that can judge one training; higher is better."""

CHOSEN = "loss at the fitted temperature"
"""The number that runs log as their `objective`."""


def correlations(
    found: list[dict[str, Any]], epochs: int, against: str = "accuracy", *, without: str = ""
) -> dict[str, list[float]]:
    """Return one rank correlation per replicate for each number.

    The correlation is with the mean of `against` after 15 epochs on the other replicates. `without` names a
    configuration to leave out.
    """
    whole = _table([row for row in found if row["config"]["epochs"] == 15], NUMBERS[against])
    selected = [row for row in found if row["config"]["epochs"] == epochs]
    result: dict[str, list[float]] = {}
    for title, number in NUMBERS.items():
        table = _table(selected, number)
        result[title] = []
        for replicate in sorted(set(table) & set(whole) if len(whole) > 1 else ()):
            others = [whole[other] for other in whole if other != replicate]
            names = [name for name in configurations() if name != without]
            truth = [np.mean([other[name] for other in others]) for name in names]
            result[title].append(float(spearmanr([table[replicate][name] for name in names], truth).statistic))
    return result


def differences(found: list[dict[str, Any]], epochs: int) -> dict[str, tuple[float, float]]:
    """Return the difference of each number's mean correlation to that of CHOSEN, with its standard error.

    The error covers the choice of configurations. It is a jackknife with one left out at a time (Efron & Stein 1981).
    """

    def differences_to_chosen(without: str = "") -> dict[str, float]:
        means = {
            title: float(np.mean(values)) for title, values in correlations(found, epochs, without=without).items()
        }
        return {title: mean - means[CHOSEN] for title, mean in means.items()}

    left_out = [differences_to_chosen(name) for name in configurations()]
    count = len(left_out)
    return {
        title: (value, math.sqrt((count - 1) * float(np.var([part[title] for part in left_out]))))
        for title, value in differences_to_chosen().items()
    }


@dataclass(frozen=True)
class Coverage:
    """How reliable intervals of paired differences are, over every choice of entrants and of replicates."""

    holds: float
    """Share that contains the difference on the other replicates, widened by the uncertainty of that difference."""
    half: float
    """Median of half the width."""
    decided: float
    """Share that does not contain zero."""
    wrong: float
    """Share of the decided intervals whose order is reversed on the other replicates."""


def coverage(found: list[dict[str, Any]], entrants: int, replicates: int) -> dict[str, Coverage]:
    """Return the coverage for the objective, with noise estimated from each pair, and from all entrants."""
    table = _table([row for row in found if row["config"]["epochs"] == 15], NUMBERS[CHOSEN])
    losses = {name: {r: -by[name] for r, by in table.items()} for name in configurations()}
    cases: dict[str, list[tuple[bool, float, bool, bool]]] = {"the pair alone": [], "all entrants": []}
    for names in combinations(losses, entrants):
        for chosen in combinations(table, replicates):
            seen = {name: {r: losses[name][r] for r in chosen} for name in names}
            common_noise = noise(seen)
            for one, other in combinations(names, 2):
                left_out = [losses[one][r] - losses[other][r] for r in table if r not in chosen]
                elsewhere = float(np.mean(left_out))
                for scatter, into in zip(
                    (noise({n: seen[n] for n in (one, other)}), common_noise), cases.values(), strict=True
                ):
                    pair = paired(seen[one], seen[other], scatter)
                    assert pair is not None
                    wider = pair.half * math.sqrt(1 + replicates / len(left_out))
                    holds = abs(pair.difference - elsewhere) <= wider
                    into.append((holds, pair.half, not pair.tie, pair.difference * elsewhere < 0))
    return {title: _coverage(*map(np.array, zip(*all_, strict=True))) for title, all_ in cases.items()}


def _coverage(holds: Any, halves: Any, decided: Any, reverse: Any) -> Coverage:
    return Coverage(
        float(holds.mean()), float(np.median(halves)), float(decided.mean()), float(reverse[decided].mean())
    )


def _table(found: list[dict[str, Any]], number: Callable[[dict[str, Any]], float]) -> dict[int, dict[str, float]]:
    """Return replicate -> configuration -> number, for the replicates that all configurations have."""
    table: dict[int, dict[str, float]] = {}
    for row in found:
        value = -math.inf if row["diverged"] else number(row)
        table.setdefault(row["config"]["replicate"], {})[row["name"]] = value
    return {replicate: by for replicate, by in table.items() if len(by) == len(configurations())}


def report(file: Path) -> None:
    """Print the report as Markdown tables."""
    found = rows(file)
    print("| configuration | parameters | replicates | accuracy | deviation | loss | at the fitted temperature |")
    print("|---|---|---|---|---|---|---|")
    for name in configurations():
        own = [row for row in found if row["name"] == name and row["config"]["epochs"] == 15 and not row["diverged"]]
        if len(own) > 1:
            accuracy, deviation = np.mean([r["accuracy"] for r in own]), np.std([r["accuracy"] for r in own], ddof=1)
            losses = [np.mean([row[key] for row in own]) for key in ("loss", "calibrated_loss")]
            about = f"{own[0]['parameters']:,} | {len(own)} | {100 * accuracy:.2f} % | {100 * deviation:.2f} %"
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
        for title, one in coverage(found, ENTRANTS, replicates).items():
            holds, decided, wrong = (f"{100 * share:.0f} %" for share in (one.holds, one.decided, one.wrong))
            print(f"| {replicates} replicates | {title} | {holds} | ± {one.half:.4f} | {decided} | {wrong} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["train", "report"], help="run the missing trainings, or print the report")
    parser.add_argument("--replicates", type=int, default=6, help="replicates per configuration")
    parser.add_argument("--agents", type=int, default=2, help="parallel trainings, one thread each")
    parser.add_argument("--file", type=Path, default=FILE, help="one line per training")
    parser.add_argument("--logits", type=Path, help="folder to save the logits in")
    arguments = parser.parse_args()
    if arguments.what == "train":
        run(arguments.file, arguments.replicates, arguments.agents, arguments.logits)
    else:
        report(arguments.file)


if __name__ == "__main__":
    main()
