"""`python -m mnist_sweep.train` as `wandb agent` starts it, without a server: the run is kept on disk and read back."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from mnist_sweep.metrics import OBJECTIVE

if TYPE_CHECKING:
    from tests.conftest import Desk, OfflineRun

TINIEST = {"c1": 1, "c2": 1, "squeeze": 1, "c3": 1, "c4": 1, "c5": 1, "head": 1}
"""The smallest network there is: 69 parameters."""

QUICK = TINIEST | {"augment_strength": 0.0, "dropout": 0.0, "batch_size": 4096, "threads": 1, "precision": "float32"}
PROGRAM = "mnist_sweep.train"
EPOCH_KEYS = {
    "epoch",
    "train/loss",
    "train/accuracy",
    "val/loss",
    "val/accuracy",
    "lr",
    "images_per_second",
}


def arguments(**values: Any) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]


def epoch_lines(output: str) -> list[str]:
    return re.findall(r"^epoch .*$", output, re.MULTILINE)


def check_sync_line(output: str, run: OfflineRun) -> None:
    assert output.splitlines()[-1] == (
        f"W&B's mode is offline; the run is on disk. To upload it: wandb sync {run.path.parent}"
    )


# --- a run that goes well ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(new_desk: Callable[[], Desk]) -> tuple[subprocess.CompletedProcess[str], OfflineRun]:
    desk = new_desk()
    done = desk.run(PROGRAM, *arguments(**QUICK, epochs=1, max_lr=0.1, deskew=0.5))
    (run,) = desk.offline_runs
    return done, run


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the lines of the output without the empty ones, which client 0.28 prints."""
    return [line for line in done.stdout.splitlines() if line]


def test_a_run_ends_well_and_says_so(trained: tuple[subprocess.CompletedProcess[str], OfflineRun]) -> None:
    done, run = trained
    assert (done.returncode, done.stderr) == (0, "")
    assert run.exit_code == 0
    epoch, outcome, _ = said(done)
    assert re.fullmatch(r"epoch  1/1  train [\d.]+ [\d.]+ %  val [\d.]+ [\d.]+ %  lr [\d.e-]+  [\d,]+ images/s", epoch)
    assert re.fullmatch(r"69 parameters, val accuracy ([\d.]+ %) \(best \1 in epoch 1\)", outcome)
    check_sync_line(done.stdout, run)


def test_a_run_records_the_whole_configuration(trained: tuple[subprocess.CompletedProcess[str], OfflineRun]) -> None:
    from mnist_sweep.config import parse
    from mnist_sweep.training import engine

    _, run = trained
    recorded = {name: value for name, value in run.config.items() if not name.startswith("_")}
    asked = engine.resolve(parse(QUICK | {"epochs": 1, "max_lr": 0.1, "deskew": 0.5}))
    assert parse(recorded) == asked
    assert recorded == asked.model_dump(exclude_none=True)


def test_a_run_deskews_its_images(trained: tuple[subprocess.CompletedProcess[str], OfflineRun]) -> None:
    from mnist_sweep.config import parse
    from mnist_sweep.training import engine, mnist

    _, run = trained
    config = parse(QUICK | {"epochs": 1, "max_lr": 0.1, "deskew": 0.5})
    losses = [engine.fit(config, mnist.selection_split((0,), share)).history[0].loss for share in (0.5, 0)]
    assert run.history[0]["val/loss"] == losses[0] != losses[1]


def test_a_run_logs_every_epoch(trained: tuple[subprocess.CompletedProcess[str], OfflineRun]) -> None:
    done, run = trained
    row, last = run.history
    assert {name for name in last if not name.startswith("_")} == {OBJECTIVE}
    assert {name for name in row if not name.startswith("_")} == EPOCH_KEYS
    assert row["epoch"] == 1
    assert 0 < row["val/accuracy"] <= 1
    assert f"{100 * row['val/accuracy']:.2f} %" in done.stdout
    assert row["images_per_second"] > 0


def test_a_run_sums_itself_up(trained: tuple[subprocess.CompletedProcess[str], OfflineRun]) -> None:
    _, run = trained
    assert run.summary["parameters"] == 69
    assert run.summary["constraint/parameters"] == 69 - 9_999
    assert run.summary["feasible"] is True
    assert 0 < run.summary[OBJECTIVE] == run.history[-1][OBJECTIVE] <= run.summary["val/loss"]
    assert run.summary["best/epoch"] == 1
    assert run.summary["best/val/accuracy"] == run.history[0]["val/accuracy"]
    assert run.summary["val/confusion"]["_type"] == "table-file"
    assert run.summary["val/misclassified"]["nrows"] == 30  # the surest ones
    assert not any(name.startswith("test/") for name in run.summary)
    assert "model" in run.artifacts
    assert not run.name  # a server names it, such as prime-sweep-4
    assert run.tags == []


# --- runs that do not train -------------------------------------------------------------------------------------------


def test_over_budget_is_recorded_and_not_trained(desk: Desk) -> None:
    done = desk.run(PROGRAM, *arguments(c2=100))
    (run,) = desk.offline_runs
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == (
        "not trained: 13,608 parameters, the limit is fewer than 10,000; "
        "most are in conv3x3 8->100 (7,200), conv3x3 16->18 (2,592), conv3x3 10->16 (1,440)"
    )
    assert epoch_lines(done.stdout) == []
    check_sync_line(done.stdout, run)
    assert run.exit_code == 0
    assert run.history == []
    assert (run.summary["feasible"], run.summary["parameters"]) == (False, 13_608)
    assert run.summary["constraint/parameters"] == 13_608 - 9_999 > 0
    assert "limit is fewer than 10,000" in run.summary["reason"]
    assert not run.name
    assert run.config["c2"] == 100


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"dropout": 2}, "error: dropout=2 should be a number from 0 to 0.5"),
        (
            {"device": "cuda:99"},
            "error: device=cuda:99 is not available on this machine: ",
        ),
    ],
    ids=str,
)
def test_an_invalid_run_fails_in_one_line(values: dict[str, Any], line: str, desk: Desk) -> None:
    done = desk.run(PROGRAM, *arguments(**values))
    (run,) = desk.offline_runs
    assert done.returncode == 1
    (said,) = (done.stdout + done.stderr).splitlines()
    assert said.startswith(line)
    assert run.exit_code == 1
    assert run.history == []


def test_an_unknown_flag_is_one_line_and_no_run(desk: Desk) -> None:
    done = desk.run(PROGRAM, "--drpout=0.1")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "error: unknown argument --drpout=0.1: did you mean --dropout? (see python -m mnist_sweep.train --help)"
    ]
    assert desk.offline_runs == []


def test_without_data_the_run_fails_in_one_line(desk: Desk) -> None:
    done = desk.run(PROGRAM, MNIST_SWEEP_DATA="/dev/null/mnist")
    (run,) = desk.offline_runs
    assert done.returncode == 1
    assert (done.stdout + done.stderr).splitlines() == [
        "error: cannot write MNIST to /dev/null/mnist (Not a directory): set MNIST_SWEEP_DATA to a folder that you own"
    ]
    assert run.exit_code == 1


def test_divergence_ends_the_run_without_a_failure(desk: Desk) -> None:
    values = {"preset": "step1", "over_budget": True, "max_lr": 5, "momentum": 0.99, "batch_size": 8}  # no batch norm
    done = desk.run(PROGRAM, *arguments(**values))
    (run,) = desk.offline_runs
    assert (done.returncode, done.stderr) == (0, "")
    assert said(done)[0] == "diverged: the loss was not finite in epoch 1"
    assert run.exit_code == 0
    assert run.summary["diverged"] is True
    assert run.tags == ["baseline"]
    assert run.summary["reason"] == "the loss was not finite in epoch 1"
    assert run.history == []
    assert "model" not in run.artifacts


# --- runs that are stopped --------------------------------------------------------------------------------------------


def stop_after_first_epoch(process: subprocess.Popen[str], number: signal.Signals) -> tuple[str, str]:
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first.startswith("epoch  1/"), process.communicate()
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    return first + out, err


def test_ctrl_c_leaves_a_whole_run(desk: Desk) -> None:
    process = desk.start(PROGRAM, *arguments(**QUICK, epochs=15))
    out, err = stop_after_first_epoch(process, signal.SIGINT)
    (run,) = desk.offline_runs
    assert process.returncode == 130
    assert err.splitlines() == ["stopped: what was logged so far is kept"]
    assert "Traceback" not in out
    assert run.exit_code == 255
    assert 1 <= len(run.history) < 15
    assert "val/accuracy" in run.history[0]


STRUCK = """
import signal, sys
from mnist_sweep import train
from mnist_sweep.training.fast import kernels

whole = kernels.norm_act_backward

def struck(*arguments):
    kernels.norm_act_backward = whole
    signal.raise_signal(signal.SIGINT)
    gradients = whole(*arguments)
    print("the step was whole")
    return gradients

kernels.norm_act_backward = struck
sys.exit(train.main(sys.argv[1:]))
"""


def test_a_trial_that_was_stopped_before_it_began_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    from mnist_sweep import train

    monkeypatch.setattr(train, "Tracker", lambda *args, **options: pytest.fail("the run began"))
    train.run_signals.request(train.Stopped)
    with pytest.raises(train.Stopped):
        train.train()


def test_ctrl_c_within_a_step_strikes_after_it(desk: Desk) -> None:
    """Compiled code would take it for a failure of its own: the run failed, and its agent went on to the next."""
    (desk.folder / "struck.py").write_text(STRUCK)
    done = desk.run("struck", *arguments(**QUICK, epochs=2))
    assert (done.returncode, done.stderr.splitlines()) == (130, ["stopped: what was logged so far is kept"])
    assert "the step was whole" in done.stdout
    (run,) = desk.offline_runs
    assert (run.exit_code, run.history) == (255, [])


def test_a_terminated_run_goes_on_after_its_last_epoch(desk: Desk) -> None:
    """A scheduler ends a job and queues it again: the same run id finds the checkpoint."""
    command = (PROGRAM, *arguments(**QUICK, epochs=2))
    process = desk.start(*command, WANDB_RUN_ID="requeued")
    out, err = stop_after_first_epoch(process, signal.SIGTERM)
    assert process.returncode == 130
    assert err.splitlines() == ["stopped: what was logged so far is kept"]
    (stopped,) = desk.offline_runs
    assert stopped.exit_code == 255

    again = desk.run(*command, WANDB_RUN_ID="requeued")
    assert again.returncode == 0, again.stderr
    # The speed is in the line, too: the first epoch was not trained a second time.
    assert epoch_lines(again.stdout)[0] == epoch_lines(out)[0]
    assert len(epoch_lines(again.stdout)) == 2
    finished = desk.offline_runs[-1]
    assert finished.exit_code == 0
    assert [row.get("epoch") for row in finished.history] == [1, 2, None]
    assert OBJECTIVE not in stopped.summary
    assert finished.history[0]["val/loss"] == stopped.history[0]["val/loss"]
    assert not [path for path in desk.folder.rglob("*.pt") if "checkpoints" in path.parts]


def test_preemption_is_marked(desk: Desk) -> None:
    process = desk.start(PROGRAM, *arguments(**QUICK, epochs=15))
    out, err = stop_after_first_epoch(process, signal.SIGUSR1)
    (run,) = desk.offline_runs
    assert process.returncode == 75
    assert "Traceback" not in out + err
    assert run.preempting
    assert run.exit_code == 75
