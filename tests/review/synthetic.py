"""Synthetic runs for the tests of the review: invented numbers, shaped like this project's, never shown as results."""

import io
import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from PIL import Image

from mnist_sweep.review.fields import sweep_info
from mnist_sweep.review.mistakes import Confusion, Media, Mistake
from mnist_sweep.review.ranking import Ranking, rank
from mnist_sweep.review.records import RunRecord, SweepInfo
from mnist_sweep.review.review import Review, build_review

START = datetime(2030, 1, 1, 9, 0, tzinfo=UTC)
EPOCHS = 15
CONFIG: dict[str, Any] = {
    "method": "bayes",
    "metric": {"name": "val/accuracy", "goal": "maximize"},
    "parameters": {
        "max_lr": {"distribution": "log_uniform_values", "min": 0.003, "max": 0.3},
        "dropout": {"distribution": "uniform", "min": 0.0, "max": 0.15},
        "augment_strength": {"distribution": "uniform", "min": 0.0, "max": 1.5},
        "c1": {"distribution": "int_uniform", "min": 6, "max": 14},
        "c3": {"distribution": "int_uniform", "min": 10, "max": 26},
        "batch_size": {"values": [64, 128, 256]},
        "epochs": {"value": EPOCHS},
    },
}


def info(**changes: Any) -> SweepInfo:
    about = {"id": "synth001", "name": "Synthetic sweep", "entity": "local", "project": "tests", "state": "RUNNING"}
    return sweep_info(CONFIG | changes.pop("config", {}), **(about | changes))


def ranking(count: int, seed: int = 0) -> Ranking:
    return rank(info(), sweep(count, seed))


def reviewed(count: int, *, random: int = 0, media: int = 1) -> Review:
    """The review of `count` runs beside a random search of `random`, with what the best `media` got wrong."""
    found = ranking(count)
    shown = {trial.id: mistakes() for trial in found.ranked[:media]}
    return build_review(found, random=ranking(random, seed=7) if random else None, media=shown, samples=5000)


def sweep(count: int, seed: int = 0, *, agents: int = 2) -> list[RunRecord]:
    """`count` runs over two agents: most finish, some are infeasible, diverge, are stopped, fail or still run."""
    dice = random.Random(seed)
    clock = [START + timedelta(seconds=3 * lane) for lane in range(agents)]
    records = []
    for i in range(count):
        lane = i % agents
        record = _run(i, dice, clock[lane], f"agent-{lane + 1}")
        clock[lane] += timedelta(seconds=(record.seconds or 0) + 6)
        records.append(record)
    if count > 8:
        last = records[-1]
        half = list(last.history[: EPOCHS // 2]) or [{"epoch": 1, "val/accuracy": 0.93, "lr": 0.01}]
        summary = {"parameters": 7000, "epoch": len(half), "val/accuracy": half[-1]["val/accuracy"], "feasible": True}
        records[-1] = replace(last, state="running", summary=summary, history=half, finished_at=None)
    return records


def _run(i: int, dice: random.Random, start: datetime, agent: str) -> RunRecord:
    config: dict[str, Any] = {
        "max_lr": math.exp(dice.uniform(math.log(0.003), math.log(0.3))),
        "dropout": dice.uniform(0, 0.15),
        "augment_strength": dice.uniform(0, 1.5),
        "c1": dice.randint(6, 14),
        "c3": dice.randint(10, 26),
        "batch_size": dice.choice([64, 128, 256]),
        "epochs": EPOCHS,
        "model": "tiny",
    }
    parameters = 1000 + config["c1"] * 180 + config["c3"] * 290
    name = f"lr{config['max_lr']:.2g}-d{config['dropout']:.2f}-{parameters}p"
    about: dict[str, Any] = {"id": f"run{i:05d}", "name": name, "config": config, "created_at": start, "host": agent}
    about["number"] = i
    about["step_metrics"] = {"val/accuracy": "epoch", "lr": "epoch"}
    summary: dict[str, Any] = {"parameters": parameters, "constraint/parameters": parameters - 9999, "feasible": True}
    if parameters >= 10_000:
        summary |= {"feasible": False, "reason": f"{parameters:,} parameters, the limit is 10,000", "_runtime": 0.4}
        return RunRecord(**about, summary=summary, finished_at=start + timedelta(seconds=1))
    chance = dice.random()
    if chance < 0.04:
        summary |= {"diverged": True, "reason": "the loss is not a number after epoch 1", "_runtime": 20.0}
        return RunRecord(**about, summary=summary, finished_at=start + timedelta(seconds=20))
    if chance < 0.06:
        return RunRecord(**about, state="crashed", summary={}, finished_at=start + timedelta(seconds=30))
    peak = (
        0.9945
        - 0.0035 * (math.log10(config["max_lr"] / 0.06)) ** 2
        - 0.002 * abs(config["augment_strength"] - 0.8)
        - 0.03 * (config["dropout"] - 0.03) ** 2
        + 3e-7 * (parameters - 7000)
        + dice.gauss(0, 0.0005)
    )
    stopped = peak < 0.989 and dice.random() < 0.7
    epochs = 5 if stopped else EPOCHS
    history = []
    for epoch in range(1, epochs + 1):
        value = peak - 0.09 * math.exp(-epoch / 2.2) - abs(dice.gauss(0, 0.0012)) * (1 - epoch / EPOCHS)
        phase = epoch / EPOCHS
        rate = config["max_lr"] * (phase / 0.3 if phase < 0.3 else 0.5 + 0.5 * math.cos(math.pi * (phase - 0.3) / 0.7))
        history.append({"_step": epoch - 1, "epoch": epoch, "val/accuracy": value, "lr": max(rate, 1e-6)})
    best = max(history, key=lambda row: row["val/accuracy"])
    seconds = epochs * 8.0 + dice.uniform(0, 10)
    summary |= {
        "val/accuracy": history[-1]["val/accuracy"],
        "val/loss": 0.03,
        "train/accuracy": 0.985,
        "epoch": epochs,
        "best/val/accuracy": best["val/accuracy"],
        "best/epoch": best["epoch"],
        "_runtime": seconds,
    }
    return RunRecord(
        **about,
        summary=summary,
        history=history,
        state="killed" if stopped else "finished",
        finished_at=start + timedelta(seconds=seconds),
    )


def mistakes() -> Media:
    """What a run got wrong."""
    digits = tuple(str(d) for d in range(10))
    counts = tuple(tuple(480 if i == j else (i * 7 + j * 3) % 11 // 8 for j in range(10)) for i in range(10))
    images = tuple(_mistake(k) for k in range(18))
    return Media(Confusion(digits, counts), images)


def _mistake(k: int) -> Mistake:
    return Mistake(
        index=100 + k, png=png(k), label=str(k % 10), prediction=str((k + 3) % 10), confidence=0.99 - 0.01 * k
    )


def png(seed: int = 0) -> bytes:
    image = Image.new("L", (28, 28))
    image.putdata(
        [255 if (x * (seed + 3) + y * 5) % 11 < 3 and 6 < x < 22 else 0 for y in range(28) for x in range(28)]
    )
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
