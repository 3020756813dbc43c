import argparse
import importlib.metadata
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from wandb.errors import AuthenticationError
from wandb.sdk.lib.service.service_connection import WandbApiFailedError

from mnist_sweep import cli
from mnist_sweep.commands import show
from mnist_sweep.config import FIELD_GROUPS, RunConfig
from tests.conftest import RunCommand

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
    "finals": {"SWEEP", "--epochs", "--agents", "--oversubscribe", "--trainings", "--rounds", "--fresh", "--reference"},
    "train": FIELDS,
    "confirm": {"SWEEP", "--seeds", "--agents", "--oversubscribe", "--file"}
    | (FIELDS - {f"--{name}" for name in FIELD_GROUPS["replicate"]}),
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


# --- the surface ------------------------------------------------------------------------------------------------------


def test_the_commands_and_their_arguments() -> None:
    found = {
        name: {(action.option_strings or [action.metavar])[0] for action in arguments_of(parser)}
        for name, parser in subcommands().items()
    }
    assert found == SURFACE


def test_the_server_has_the_options_that_its_document_names_and_passes_them_on(run_command: RunCommand) -> None:
    named = re.findall(r"^\| (`--.*?) \|", (ROOT / "docs/server.md").read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"--[a-z-]+", " ".join(named))) == SURFACE["server"]
    assert run_command("server", "--crash-after", "-1")[0::2] == (
        1,
        "mnist-sweep server: --crash-after must be a number over 0, not -1\n",
    )


@pytest.mark.parametrize("command", SURFACE)
def test_every_argument_says_what_it_is(command: str) -> None:
    for action in arguments_of(subcommands()[command]):
        assert action.help, action


@pytest.mark.parametrize("command", SURFACE)
def test_help(command: str, run_command: RunCommand) -> None:
    code, out, err = run_command(command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: mnist-sweep {command} ")
    for argument in SURFACE[command]:
        assert argument in out


def test_the_help_of_a_field_has_its_range_and_default(run_command: RunCommand) -> None:
    _, out, _ = run_command("train", "--help")
    words = " ".join(out.split())
    assert "dropout after every activation, probability (a number from 0 to 0.5; default 0.03)" in words
    for name, field in RunConfig.model_fields.items():
        assert " ".join(str(field.description).split()) in words, name


def test_help_lists_every_command(run_command: RunCommand) -> None:
    code, out, _ = run_command("--help")
    assert code == 0
    for command in SURFACE:
        assert re.search(rf"^ +{command} +\w", out, re.MULTILINE)


def test_the_version(run_command: RunCommand) -> None:
    assert run_command("--version") == (0, f"mnist-sweep {importlib.metadata.version('mnist-sweep')}\n", "")


@pytest.mark.parametrize("command", SURFACE)
def test_every_command_has_an_example_that_its_parser_takes(command: str, run_command: RunCommand) -> None:
    example = cli.COMMANDS[command].EXAMPLE
    assert f"Example: {example}" in " ".join(run_command(command, "--help")[1].split())
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
def test_a_mistyped_command_is_one_line(arguments: tuple[str, ...], line: str, run_command: RunCommand) -> None:
    assert run_command(*arguments) == (2, "", f"error: {line}\n")


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
def test_an_invalid_configuration_is_one_line(
    command: str, arguments: list[str], line: str, run_command: RunCommand
) -> None:
    assert run_command(command, *arguments) == (1, "", f"error: {line}\n")


def test_a_request_that_nothing_answers_is_one_line(run_command: RunCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a command asks W&B's client, whose service may be busy."""

    def busy(arguments: argparse.Namespace) -> int:
        raise AuthenticationError("Failed to verify") from WandbApiFailedError("the service process is busy")

    monkeypatch.setattr(show, "run", busy)
    line = "error: a request to W&B was not answered in time: the machine is busy, try again\n"
    assert run_command("show") == (1, "", line)
