import json
import math
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mnist_sweep.config import parse
from mnist_sweep.selection import confirm
from mnist_sweep.selection.confirm_record import ConfirmError, SeedResult
from tests.conftest import Desk
from tests.processes import gone, workers

# A network of 66 parameters, one epoch of 15 steps, all 60,000 images.
TINY = dict.fromkeys(("c1", "c2", "squeeze", "c3", "c4", "c5"), 1) | {
    "head": 0,
    "epochs": 1,
    "batch_size": 4096,
    "augment_strength": 0.0,
}
FLAGS = [f"--{name}={value}" for name, value in TINY.items()]
DIVERGING = ["--preset=step1", "--over_budget", "--max_lr=5", "--momentum=0.99", "--batch_size=8"]


def results(count: int) -> list[SeedResult]:
    return [SeedResult(seed=seed, accuracy=0.99 + seed / 1000, seconds=1.5) for seed in range(count)]


# --- trained ----------------------------------------------------------------------------------------------------------


def test_seeds_are_trained_on_all_images_kept_as_they_come_and_not_trained_twice(desk: Desk) -> None:
    """The accuracy is that of the same training here, on the test images; a cut-off line costs its own seed only."""
    from mnist_sweep.training import engine, mnist

    file = desk.folder / "kept" / "confirm.jsonl"
    command = ("mnist_sweep.cli", "confirm", *FLAGS, "--deskew=0.5", "--threads=1", f"--file={file}")
    first = desk.run(*command, "--seeds=1")
    assert first.returncode == 0, first.stderr
    assert "Confirmed with one seed: " in first.stdout
    assert "nan" not in first.stdout
    fit = engine.fit(parse({**TINY, "deskew": 0.5, "threads": 1}), mnist.confirmation_split(0.5))
    kept = json.loads(file.read_text())["result"]
    assert (kept["seed"], kept["accuracy"]) == (0, fit.history[-1].accuracy)
    assert kept["precision"] == "float32"
    with file.open("a") as out:
        out.write('{"config": {"c1": 1}, "resu')
    second = desk.run(*command, "--seeds=2", "--agents=2")
    assert second.returncode == 0, second.stderr
    assert first.stdout.splitlines()[0] in second.stdout  # told, seconds and all: not trained again
    assert "test/accuracy, the mean of 2 seeds with its 95 % interval" in second.stdout
    assert "66 parameters; 0 of 2 seeds have at least 99.40 %." in second.stdout
    lines = file.read_text().splitlines()
    assert [json.loads(text)["result"]["seed"] for text in (lines[0], lines[2])] == [0, 1]


def test_where_every_seed_diverges_one_line_says_so(desk: Desk) -> None:
    done = desk.run("mnist_sweep.cli", "confirm", *DIVERGING, "--seeds=1")
    assert done.returncode == 1
    assert done.stdout.startswith("seed  0  diverged  ")
    assert done.stderr == "error: every seed diverged: a lower max_lr may help\n"


STOPPED = "stopped after {done} of {seeds} seeds: the same command resumes\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_trainings_end_with_who_wants_them(desk: Desk, number: signal.Signals) -> None:
    """Soon, and whole: their runs say that they were killed, whether or not anybody was left to tell them."""
    flags = [f"--{name}={value}" for name, value in (TINY | {"epochs": 15, "batch_size": 64}).items()]
    parent = desk.start("mnist_sweep.cli", "confirm", *flags, "--seeds=2", "--agents=2", "--threads=1")
    deadline = time.monotonic() + 120
    while len(list(desk.folder.glob("wandb/offline-run-*/run-*.wandb"))) < 2:
        assert parent.poll() is None, parent.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    trainings = workers(parent.pid)
    assert len(trainings) == 2
    parent.send_signal(number)
    assert all(gone(training) for training in trainings)
    out, err = parent.communicate(timeout=120)
    assert [run.exit_code for run in desk.offline_runs] == [255, 255]
    assert "Traceback" not in err
    if number is not signal.SIGKILL:
        assert (parent.returncode, out, err) == (130, "", STOPPED.format(done=0, seeds=2))


def test_after_ctrl_c_no_other_seed_begins_and_nothing_is_left_running(desk: Desk) -> None:
    """`shutdown` of the pool was called twice, and its second call let the pool start what the first had cancelled."""
    flags = [f"--{name}={value}" for name, value in (TINY | {"epochs": 15, "batch_size": 64}).items()]
    parent = desk.start("mnist_sweep.cli", "confirm", *flags, "--seeds=5", "--threads=1")
    deadline = time.monotonic() + 120
    while not list(desk.folder.glob("wandb/offline-run-*/run-*.wandb")):
        assert parent.poll() is None, parent.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (training,) = workers(parent.pid)
    parent.send_signal(signal.SIGINT)
    out, err = parent.communicate(timeout=60)
    assert gone(training)
    assert (parent.returncode, out, err) == (130, "", STOPPED.format(done=0, seeds=5))
    assert [run.exit_code for run in desk.offline_runs] == [255]


def test_a_seed_is_reported_before_its_first_step(mnist_folder: Path, tmp_path: Path) -> None:
    """Loading PyTorch takes a while on a busy machine, in which nothing was shown."""
    seen: list[tuple[int, bool]] = []
    config = parse({**TINY, "threads": 1})
    confirm.confirm(
        config,
        range(2),
        file=tmp_path / "confirm.jsonl",
        on_result=lambda result: None,
        on_progress=lambda seed, step: seen.append((seed, step is not None)),
    )
    assert [each for i, each in enumerate(seen) if each not in seen[:i]] == [
        (0, False),
        (0, True),
        (1, False),
        (1, True),
    ]


def test_test_images_are_judged_once_after_the_last_epoch(desk: Desk) -> None:
    flags = [f"--{name}={value}" for name, value in (TINY | {"epochs": 3}).items()]
    done = desk.run("mnist_sweep.cli", "confirm", *flags, "--seeds=1", "--threads=1")
    assert done.returncode == 0, done.stderr
    (run,) = desk.offline_runs
    judged = [row["epoch"] for row in run.history if "test/accuracy" in row]
    assert [row["epoch"] for row in run.history] == [1, 2, 3]
    assert judged == [3]
    assert not [name for name in run.summary if name.startswith("best/")]


def test_trainings_share_the_cores_that_this_process_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task of Slurm sees all cores of its node, and trainings with a thread for each of them wait for each other."""
    threads: list[int] = []

    def run(jobs: Sequence[confirm._Job], processes: int, keep: Callable[[SeedResult], None], *_: object) -> None:
        threads.extend(job.values["threads"] for job in jobs)
        for result in results(len(jobs)):
            keep(result)

    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "6")
    monkeypatch.setattr(confirm, "_run", run)
    confirm.confirm(parse(TINY), range(4), processes=2, file=tmp_path / "confirm.jsonl", on_result=lambda result: None)
    assert threads == [3, 3, 3, 3]


def test_seeds_in_bfloat16_have_a_group_of_their_own() -> None:
    """Or a confirmation in one precision would write to the runs of the other."""
    auto, float32, bfloat16 = (confirm.group(parse(TINY | {"precision": p})) for p in ("auto", "float32", "bfloat16"))
    assert auto == float32
    assert bfloat16 == f"{float32}-bfloat16"


# --- figures ----------------------------------------------------------------------------------------------------------


def test_seeds_that_diverged_are_counted_and_not_averaged() -> None:
    diverged = SeedResult(seed=10, accuracy=math.nan, seconds=1.0, diverged=True)
    found = confirm.summarise([*results(10), diverged], parse(TINY))
    assert found.values == tuple(0.99 + seed / 1000 for seed in range(10))
    assert found.diverged == 1
    assert found.configuration == parse(TINY).recipe.as_text()
    with pytest.raises(ConfirmError, match="every seed diverged"):
        confirm.summarise([diverged], parse(TINY))
