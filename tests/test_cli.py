from __future__ import annotations

import argparse
import importlib.metadata
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from wandb.errors import AuthenticationError
from wandb.sdk.lib.service.service_connection import WandbApiFailedError

from mnist_sweep import cli
from mnist_sweep.commands import show
from mnist_sweep.config import RunConfig

ROOT = Path(__file__).parents[1]
FIELDS = {f"--{name}" for name in RunConfig.model_fields}

# The command line people and scripts rely on. A change here is a change for users: it belongs in CHANGELOG.md.
SURFACE: dict[str, set[str]] = {
    "sweep": {"FILE", "--count", "--agents", "--oversubscribe"},
    "report": {"SWEEP", "--html", "--random"},
    "agent": {"SWEEP", "--count", "--agents", "--agents-per-gpu", "--oversubscribe"},
    "submit": {
        "FILE",
        "--count",
        "--agents",
        "--cpus",
        "--gpus",
        "--agents-per-gpu",
        "--time",
        "--partition",
        "--account",
    }
    | {"--mem", "--setup", "--sbatch", "--kubernetes", "--dry-run", "--follow"},
    "finals": {"SWEEP", "--epochs", "--agents", "--oversubscribe", "--rounds", "--fresh", "--reference"},
    "train": FIELDS,
    "confirm": {"SWEEP", "--seeds", "--agents", "--oversubscribe", "--file"} | FIELDS,
    "show": FIELDS,
    "check": {"FILE"},
    "data": set(),
    "doctor": {"--fetch"},
    "server": {"--host", "--port", "--data", "--key-file", "--entity", "--crash-after", "--env"}
    | {"--certificate", "--private-key", "--self-signed", "--login", "--idle-timeout"},
}


def subcommands() -> dict[str, argparse.ArgumentParser]:
    actions = cli.parser()._actions
    (choices,) = (action.choices for action in actions if isinstance(action, argparse._SubParsersAction))
    return dict(choices)


def arguments_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process: exit code, output, errors."""
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            code = cli.main(arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


# --- the surface ------------------------------------------------------------------------------------------------------


def test_the_commands_and_their_arguments() -> None:
    found = {
        name: {(action.option_strings or [action.metavar])[0] for action in arguments_of(parser)}
        for name, parser in subcommands().items()
    }
    assert found == SURFACE


def test_the_server_has_the_options_that_its_document_names_and_passes_them_on(run: Run) -> None:
    named = re.findall(r"^\| (`--.*?) \|", (ROOT / "docs/server.md").read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"--[a-z-]+", " ".join(named))) == SURFACE["server"]
    assert run("server", "--crash-after", "-1")[0::2] == (
        1,
        "mnist-sweep server: --crash-after must be a number over 0, not -1\n",
    )


@pytest.mark.parametrize("command", SURFACE)
def test_every_argument_says_what_it_is(command: str) -> None:
    for action in arguments_of(subcommands()[command]):
        assert action.help, action


@pytest.mark.parametrize("command", SURFACE)
def test_help(command: str, run: Run) -> None:
    code, out, err = run(command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: mnist-sweep {command} ")
    for argument in SURFACE[command]:
        assert argument in out


def test_the_help_of_a_field_has_its_range_and_default(run: Run) -> None:
    _, out, _ = run("train", "--help")
    words = " ".join(out.split())
    assert "dropout after every activation, probability (a number from 0 to 0.5; default 0.03)" in words
    for name, field in RunConfig.model_fields.items():
        assert " ".join(str(field.description).split()) in words, name


def test_help_lists_every_command(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for command in SURFACE:
        assert re.search(rf"^ +{command} +\w", out, re.MULTILINE)


def test_the_version(run: Run) -> None:
    assert run("--version") == (0, f"mnist-sweep {importlib.metadata.version('mnist-sweep')}\n", "")


@pytest.mark.parametrize("command", SURFACE)
def test_every_command_has_an_example_that_its_parser_takes(command: str, run: Run) -> None:
    example = cli.COMMANDS[command].EXAMPLE
    assert f"Example: {example}" in " ".join(run(command, "--help")[1].split())
    words = shlex.split(example)
    arguments = words[words.index("mnist-sweep") + 1 :]
    assert cli.parser().parse_args(arguments).command == cli.COMMANDS[command].run


def test_the_program_is_installed() -> None:
    program = Path(sys.executable).parent / "mnist-sweep"
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: mnist-sweep ")


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; from mnist_sweep import cli\n"
        "try: cli.main(['train', '--help'])\n"
        "except SystemExit: print({'torch', 'wandb'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "set()"


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "the following arguments are required: COMMAND (see mnist-sweep --help)"),
        (
            ("train", "--drpout=0.1"),
            "unknown argument --drpout=0.1: did you mean --dropout? (see mnist-sweep train --help)",
        ),
        (("show", "--drop=0.1"), "unknown argument --drop=0.1: did you mean --dropout? (see mnist-sweep show --help)"),
        (
            ("sweep", "a.yaml", "--cuont", "3"),
            "unknown argument --cuont: did you mean --count? (see mnist-sweep sweep --help)",
        ),
        (
            ("sweep", "a.yaml", "--count=0"),
            "argument --count: '0' is not a whole number from 1 to 1,000,000 (see mnist-sweep sweep --help)",
        ),
        (("sweep",), "the following arguments are required: FILE (see mnist-sweep sweep --help)"),
        (("data", "more"), "unknown argument more (see mnist-sweep data --help)"),
        (("swep", "a.yaml"), "unknown command swep: did you mean sweep? (see mnist-sweep --help)"),
        (("confrim",), "unknown command confrim: did you mean confirm? (see mnist-sweep --help)"),
        (("zzz",), "unknown command zzz (see mnist-sweep --help)"),
    ],
    ids=str,
)
def test_a_mistyped_command_is_one_line(arguments: tuple[str, ...], line: str, run: Run) -> None:
    assert run(*arguments) == (2, "", f"error: {line}\n")


@pytest.mark.parametrize("command", ["train", "show", "confirm"])
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--dropout=2"], "dropout=2.0 should be a number from 0 to 0.5"),
        (["--epochs=16"], "epochs=16 should be a whole number from 1 to 15"),
        (["--max_lr=fast"], "max_lr='fast' should be a number above 0 and up to 5"),
    ],
    ids=str,
)
def test_an_invalid_configuration_is_one_line(command: str, arguments: list[str], line: str, run: Run) -> None:
    assert run(command, *arguments) == (1, "", f"error: {line}\n")


@pytest.mark.parametrize("command", ["train", "confirm"])
def test_over_budget_is_one_line_and_nothing_is_trained(command: str, run: Run) -> None:
    code, out, err = run(command, "--preset=step1")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"error: 6,379,786 parameters, the limit is fewer than 10,000; most are in .*\n", err)


def test_a_request_that_nothing_answers_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a command asks W&B's client, whose service may be busy."""

    def busy(arguments: argparse.Namespace) -> int:
        raise AuthenticationError("Failed to verify") from WandbApiFailedError("the service process is busy")

    monkeypatch.setattr(show, "run", busy)
    line = "error: a request to W&B was not answered in time: the machine is busy, try again\n"
    assert run("show") == (1, "", line)


# --- show -------------------------------------------------------------------------------------------------------------


def test_show_prints_the_layers(run: Run) -> None:
    code, out, err = run("show", "--preset=step8")
    assert (code, err) == (0, "")
    assert "step8: 6,720 parameters" in out
    rows = [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in out.splitlines() if "│" in line]
    assert rows[0] == ["conv3x3 1->8", "8 x 26 x 26", "72", "3"]
    assert rows[-1] == ["conv1x1 16->10", "10 x 1 x 1", "160", "28"]


def test_show_shows_what_is_over_budget_and_fails(run: Run) -> None:
    code, out, _ = run("show", "--preset=step1")
    assert code == 1
    assert "step1: 6,379,786 parameters" in out
    assert out.splitlines()[-1] == "over the limit of fewer than 10,000 parameters"


# --- check ------------------------------------------------------------------------------------------------------------


def test_check_says_the_feasible_share(run: Run) -> None:
    files = [str(path) for path in sorted((ROOT / "sweeps").glob("*.yaml"))]
    code, out, err = run("check", *files)
    assert (code, err) == (0, "")
    lines = [line for line in out.splitlines() if ": valid; " in line]
    assert len(lines) == len(files)
    for file, line in zip(files, lines, strict=True):
        limit = {"under1000": "1,000", "under3000": "3,000", "under5000": "5,000"}.get(Path(file).stem, "10,000")
        share = rf"\d+ % of its (search space|grid of \d+ points) is under {limit} parameters"
        assert re.fullmatch(rf"{re.escape(file)}: valid; ({share}|its scheduler decides what is tried)", line)
    assert f"{ROOT}/sweeps/ladder.yaml: valid; 88 % of its grid of 8 points is under 10,000 parameters" in lines


def test_check_names_every_problem_of_every_file(run: Run, tmp_path: Path) -> None:
    wrong, missing = tmp_path / "wrong.yaml", tmp_path / "missing.yaml"
    wrong.write_text("method: random\nparameters: {dropout: {value: 2}, epochs: {value: 16}}\n")
    code, out, err = run("check", str(wrong), str(ROOT / "sweeps/smoke.yaml"), str(missing))
    assert code == 1
    assert len(out.splitlines()) == 1
    assert err.splitlines() == [
        f"error: {wrong}: dropout=2 should be a number from 0 to 0.5",
        f"       {wrong}: epochs=16 should be a whole number from 1 to 15",
        f"error: {missing}: No such file or directory",
    ]


def test_sweep_refuses_a_wrong_file_before_anything_starts(run: Run, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("method: random\nparameters: {dropout: {value: 2}}\n")
    assert run("sweep", str(wrong)) == (1, "", f"error: {wrong}: dropout=2 should be a number from 0 to 0.5\n")


# --- data -------------------------------------------------------------------------------------------------------------


def test_data_says_where_it_is(run: Run, mnist_folder: Path) -> None:
    assert run("data") == (0, f"MNIST is in {mnist_folder}: four files, checked by SHA-256\n", "")


def test_data_that_cannot_be_had_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MNIST_SWEEP_DATA", str(tmp_path / "file" / "data"))
    code, out, err = run("data")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"error: cannot write MNIST to .*: set MNIST_SWEEP_DATA to a folder that you own\n", err)


def test_submit_shows_its_script_and_asks_nobody(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    code, out, _ = run("submit", "local/mnist/abc", "--agents", "4", "--time", "2:00:00", "--dry-run")
    assert code == 0
    assert out.startswith("#!/bin/bash\n#SBATCH --job-name=sweep-abc\n#SBATCH --array=0-3\n#SBATCH --time=2:00:00\n")
    assert "x" * 40 not in out
    assert list(tmp_path.iterdir()) == []
    assert run("submit", str(ROOT / "sweeps" / "smoke.yaml"), "--dry-run")[1].startswith("#!/bin/bash")
    monkeypatch.chdir(ROOT)  # by which the file names its scheduler
    code, out, err = run("submit", "sweeps/pareto.yaml", "--dry-run")
    assert (code, out) == (1, "")
    assert "needs `wandb sweep-scheduler` beside its agents" in err


def test_submit_needs_a_server_that_stays(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_BASE_URL", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MNIST_SWEEP_SERVER", str(tmp_path / "server"))
    code, _, err = run("submit", "abc")
    assert code == 1
    assert err == "error: this needs a server that stays: log in to W&B, or start `mnist-sweep server --host NAME`\n"
    assert run("submit", "abc", "--count", "3")[2].startswith("error: --count only applies to a new sweep")
