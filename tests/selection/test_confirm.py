from __future__ import annotations

import json
import math
import signal
import statistics
import sys
import time
from pathlib import Path

import pytest

from mnist_sweep import cli
from mnist_sweep.config import RunConfig, parse
from mnist_sweep.selection import confirm
from mnist_sweep.selection.confirm import Confirmed, ConfirmError
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


def line(config: RunConfig, result: Confirmed) -> str:
    return json.dumps({"config": confirm._key(config), "result": vars(result)})


def told(file: Path, seeds: int, config: RunConfig | None = None) -> list[Confirmed]:
    """What is confirmed without training anything: every seed is in the file."""
    told: list[Confirmed] = []
    found = confirm.confirm(config or parse(TINY), range(seeds), file=file, on_result=told.append)
    assert sorted(told, key=lambda result: result.seed) == found
    return found


def results(count: int) -> list[Confirmed]:
    return [Confirmed(seed, 0.99 + seed / 1000, 0.995, 3, 1.5) for seed in range(count)]


# --- trained ----------------------------------------------------------------------------------------------------------


def test_seeds_are_trained_on_all_images_kept_as_they_come_and_not_trained_twice(desk: Desk) -> None:
    """The accuracy is that of the same training here, on the test images; a cut-off line costs its own seed only."""
    from mnist_sweep.training import engine, mnist

    file = desk.folder / "kept" / "confirm.jsonl"
    command = ("mnist_sweep.cli", "confirm", *FLAGS, "--threads=1", f"--file={file}")
    first = desk.run(*command, "--seeds=1")
    assert first.returncode == 0, first.stderr
    assert "one seed" in first.stdout
    assert "nan" not in first.stdout
    fit = engine.fit(parse({**TINY, "threads": 1}), mnist.confirmation_split())
    kept = json.loads(file.read_text())["result"]
    assert (kept["seed"], kept["accuracy"], kept["best_epoch"]) == (0, fit.history[-1].accuracy, 1)
    with file.open("a") as out:
        out.write('{"config": {"c1": 1}, "resu')
    second = desk.run(*command, "--seeds=2", "--agents=2")
    assert second.returncode == 0, second.stderr
    assert first.stdout.splitlines()[0] in second.stdout  # told, seconds and all: not trained again
    assert "66 parameters, 2 seeds: test " in second.stdout
    lines = file.read_text().splitlines()
    assert [json.loads(text)["result"]["seed"] for text in (lines[0], lines[2])] == [0, 1]


def test_where_every_seed_diverges_one_line_says_so(desk: Desk) -> None:
    done = desk.run("mnist_sweep.cli", "confirm", *DIVERGING, "--seeds=1")
    assert done.returncode == 1
    assert done.stdout.startswith("seed  0  diverged  ")
    assert done.stderr == "error: every seed diverged: a lower max_lr may help\n"


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
        assert (parent.returncode, out, err) == (130, "", "stopped\n")


def test_a_terminal_that_is_not_utf_8_loses_signs_only(desk: Desk) -> None:
    file = desk.folder / "confirm.jsonl"
    file.write_text("".join(f"{line(parse(TINY), result)}\n" for result in results(2)))
    command = ("mnist_sweep.cli", "confirm", *FLAGS, "--seeds=2", f"--file={file}")
    done = desk.run(*command, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 seeds: test 99.05 % ? 0.64" in done.stdout


# --- figures ----------------------------------------------------------------------------------------------------------


def test_the_interval_is_students() -> None:
    found = confirm.summarise([*results(10), Confirmed(10, math.nan, math.nan, 0, 1.0, diverged=True)])
    accuracies = [0.99 + seed / 1000 for seed in range(10)]
    assert found.seeds == 10
    assert found.mean == pytest.approx(0.9945)
    assert found.deviation == pytest.approx(statistics.stdev(accuracies))
    assert found.interval == pytest.approx(2.262157 * found.deviation / math.sqrt(10), rel=1e-6)  # t, 9 degrees, 97.5 %
    assert (found.lowest, found.highest) == (0.99, 0.999)
    assert found.at_target == sum(accuracy >= 0.994 for accuracy in accuracies) == 6


def test_one_seed_has_no_interval() -> None:
    found = confirm.summarise(results(1))
    assert found.mean == 0.99
    assert math.isnan(found.deviation)
    assert math.isnan(found.interval)


def test_no_seed_has_no_statistics() -> None:
    with pytest.raises(ConfirmError, match="every seed diverged"):
        confirm.summarise([Confirmed(0, math.nan, math.nan, 0, 1.0, diverged=True)])


# --- the file ---------------------------------------------------------------------------------------------------------


def test_lines_that_are_no_results_are_passed_over(tmp_path: Path) -> None:
    good = [line(parse(TINY), result) for result in results(3)]
    foreign = [
        "",
        "null",
        "[1, 2]",
        '{"config": {}}',
        '{"config": [], "result": {}}',
        '{"config": {}, "result": {"seed": "none"}}',
        "\udcff" * 100,
        line(parse({**TINY, "c1": 2}), Confirmed(2, 0.5, 0.5, 1, 1.0)),
        good[0][:-20],
    ]
    file = tmp_path / "confirm.jsonl"
    file.write_text("\n".join([foreign[0], good[0], *foreign[1:-1], good[1], good[2], foreign[-1]]), errors="replace")
    assert told(file, 3) == results(3)
    assert file.read_text().endswith("\n")  # the next result gets a line of its own


def test_a_line_older_than_a_field_counts_where_the_field_has_its_default(tmp_path: Path) -> None:
    file = tmp_path / "confirm.jsonl"
    old = json.loads(line(parse(TINY), *results(1)))
    del old["config"]["decay_norm"]
    file.write_text(json.dumps(old) + "\n")
    assert told(file, 1) == results(1)


def test_the_last_result_of_a_seed_counts(tmp_path: Path) -> None:
    file = tmp_path / "confirm.jsonl"
    again = Confirmed(0, 0.5, 0.6, 2, 3.0)
    file.write_text("".join(f"{line(parse(TINY), result)}\n" for result in (*results(1), again)))
    assert told(file, 1) == [again]


@pytest.mark.skipif(sys.platform == "win32", reason="devices and permissions of Unix")
@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("/dev/full", "is not a file that can hold results: name another --file"),
        (".", "is not a file that can hold results: name another --file"),
        ("taken/confirm.jsonl", "cannot write the results to"),
        ("/proc/none/confirm.jsonl", "cannot write the results to"),
    ],
)
def test_a_file_that_cannot_hold_results_is_refused_before_training(
    where: str,
    reason: str,
    tmp_path: Path,
    mnist_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "taken").touch()
    monkeypatch.chdir(tmp_path)
    assert cli.main(["confirm", *FLAGS, "--seeds=3", f"--file={where}"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert reason in err
    assert where in err


def test_two_at_once_would_write_to_the_same_runs(
    tmp_path: Path, mnist_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second one is refused while the first is at work, another configuration in the same file is not."""
    monkeypatch.chdir(tmp_path)
    file, other = tmp_path / "confirm.jsonl", parse(TINY | {"c5": 2})
    file.write_text("".join(f"{line(config, results(1)[0])}\n" for config in (parse(TINY), other)))
    refused: list[int] = []

    def meanwhile(_: Confirmed) -> None:
        refused.append(cli.main(["confirm", *FLAGS, "--seeds=1", f"--file={file}"]))
        assert confirm.confirm(other, [0], file=file, on_result=lambda _: None)

    assert confirm.confirm(parse(TINY), [0], file=file, on_result=meanwhile)
    assert refused == [1]
    assert capsys.readouterr().err == f"error: another process confirms this into {file}: wait for it, or end it\n"
    assert confirm.confirm(parse(TINY), [0], file=file, on_result=lambda _: None)
    assert [path.name for path in tmp_path.iterdir()] == ["confirm.jsonl"]


@pytest.mark.parametrize("seeds", ["0", "1001", "9" * 5000, "-1", "ten"])
def test_seeds_have_a_bound(seeds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["confirm", f"--seeds={seeds}"])
    assert "is not a whole number from 1 to 1,000 (see mnist-sweep confirm --help)" in capsys.readouterr().err
