"""`mnist-sweep confirm`: what it refuses, what it prints, and which project its runs go to."""

import re
from pathlib import Path

import pytest

from mnist_sweep import cli
from mnist_sweep.commands.confirm import _destination
from mnist_sweep.config import parse
from mnist_sweep.review.provenance import Claim
from mnist_sweep.selection import confirm
from mnist_sweep.selection.confirm_record import ConfirmRecord
from mnist_sweep.selection.winner import Winner
from mnist_sweep.sweep.remote import Sweep
from tests.conftest import Desk, RunCommand
from tests.selection.test_confirm import FLAGS, TINY, results


def test_over_budget_is_one_line_and_nothing_is_trained(run_command: RunCommand) -> None:
    code, out, err = run_command("confirm", "--preset=step1")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"error: 6,379,786 parameters, the limit is fewer than 10,000; most are in .*\n", err)


@pytest.mark.parametrize("arguments", [[], ["--threads=2"]])
def test_without_a_sweep_or_fields_nothing_is_trained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["confirm", *arguments]) == 1
    assert capsys.readouterr().err.startswith("error: nothing to confirm: name a sweep, as in `mnist-sweep confirm ")


def test_a_sweep_and_fields_exclude_each_other(run_command: RunCommand) -> None:
    line = "error: c1, dropout beside abc: confirm takes either a sweep or fields\n"
    assert run_command("confirm", "abc", "--c1=4", "--dropout=0.1", "--epochs=5", "--threads=1") == (1, "", line)


@pytest.mark.parametrize("seeds", ["0", "1001", "9" * 5000, "-1", "ten"])
def test_seeds_have_a_bound(seeds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["confirm", f"--seeds={seeds}"])
    assert "is not a whole number from 1 to 1,000 (see mnist-sweep confirm --help)" in capsys.readouterr().err


def test_recorded_seeds_are_summarised_without_training(
    run_command: RunCommand, mnist_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    file = tmp_path / "confirm.jsonl"
    record = ConfirmRecord(file, parse(TINY))
    for result in results(6):
        record.append(result)
    before = file.read_text()
    code, out, err = run_command("confirm", *FLAGS, "--seeds=6", f"--file={file}")
    assert (code, err, file.read_text()) == (0, "", before)
    lines = out.splitlines()
    assert sorted(lines[:6]) == [f"seed  {seed}  test 99.{seed}0 %  2 s" for seed in range(6)]
    assert lines[6].startswith("Confirmed: 99.25 % ± 0.20 test/accuracy, the mean of 6 seeds with its 95 % interval.")
    assert lines[7:] == ["66 parameters; 2 of 6 seeds have at least 99.40 %."]


def test_a_terminal_that_is_not_utf_8_loses_signs_only(desk: Desk) -> None:
    file = desk.folder / "confirm.jsonl"
    record = ConfirmRecord(file, parse(TINY))
    for result in results(2):
        record.append(result)
    command = ("mnist_sweep.cli", "confirm", *FLAGS, "--seeds=2", f"--file={file}")
    done = desk.run(*command, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Confirmed: 99.05 % ? 0.64 test/accuracy" in done.stdout


def test_runs_of_a_winner_go_to_the_project_of_its_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_ENTITY", "somebody")
    monkeypatch.setenv("WANDB_PROJECT", "elsewhere")
    claim = Claim(
        sweep="abc",
        chosen_by="finals",
        configuration="",
        metric="test/accuracy",
        claim="val/accuracy",
        claimed=None,
        observed=None,
        runs=6,
    )
    config = parse(TINY)
    winner = Winner(recipe=config.recipe, sweep=Sweep(path="team/digits/abc", url="", config={}), claim=claim)
    found = _destination(config, winner)
    assert (found.entity, found.project, found.claim) == ("team", "digits", claim)
    assert found.group == confirm.group(config, "finals-abc")
    own = _destination(config, None)
    assert (own.entity, own.project, own.claim) == ("somebody", "elsewhere", None)
    assert own.group == confirm.group(config) != found.group
    monkeypatch.delenv("WANDB_PROJECT")
    assert _destination(config, None).project == "mnist-sweep"


@pytest.mark.parametrize("argument", ["--seed=3", "--replicate=3", "--held-out-folds=2"])
def test_what_a_confirmation_would_ignore_is_refused(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["confirm", "--preset=step8", argument])
    assert capsys.readouterr().err.startswith(f"error: unknown argument {argument}")
