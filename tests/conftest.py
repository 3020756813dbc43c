"""What the tests of the training side share: real digits, a clean home for programs, and a reader of offline runs."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from scripts.chromium import MISSING
from tests.processes import ended_afterwards

if TYPE_CHECKING:
    from mnist_sweep.training.mnist import Split

pytest_plugins = ["tests.browser", "tests.local_server"]

# The same examples on every machine, no timing limit, nothing left in the checkout.
settings.register_profile("repository", derandomize=True, deadline=None, database=None)
settings.load_profile("repository")

# A shell starts background jobs with Ctrl-C ignored, and so would be the programs that tests press it on.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what a machine without a browser did not test."""
    skipped = [report for report in terminalreporter.stats.get("skipped", ()) if MISSING in str(report.longrepr)]
    if skipped:
        terminalreporter.write_line(f"{len(skipped)} tests were skipped: {MISSING}", yellow=True)


RunCommand = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    """Run a command of `mnist-sweep` in this process. Return its exit code, its output and its errors."""
    from mnist_sweep import cli

    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            code = cli.main(arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """The folder of the real MNIST files, fetched if this machine has none."""
    from mnist_sweep.training import mnist

    return mnist.fetch()


@pytest.fixture(scope="session")
def split(mnist_folder: Path) -> Split:
    """The split used for choosing, whole."""
    from mnist_sweep.training import mnist

    return mnist.selection_split()


@pytest.fixture(scope="session")
def small(split: Split) -> Split:
    """The first 2,000 training and 500 held-out digits of the real split."""
    from mnist_sweep.training.mnist import Images, Split

    train = Images(split.train.images[:2_000], split.train.labels[:2_000])
    evaluate = Images(split.evaluate.images[:500], split.evaluate.labels[:500])
    return Split(train, evaluate, split.evaluate_name, split.evaluate_index[:500])


@dataclass(frozen=True)
class Desk:
    """A user's home and working folder that nothing else uses, and the environment of programs started there."""

    folder: Path
    env: dict[str, str]

    def start(self, *command: str, **env: str) -> subprocess.Popen[str]:
        """Start `python -m …` here."""
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m …` here to its end."""
        process = self.start(*command, **env)
        out, err = process.communicate(timeout=240)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    @property
    def offline_runs(self) -> list[OfflineRun]:
        """The runs kept on disk here, oldest first."""
        files = (self.folder / "wandb").glob("offline-run-*/run-*.wandb")
        return [read_offline_run(path) for path in sorted(files, key=lambda path: path.stat().st_mtime)]


@pytest.fixture
def desk(tmp_path: Path, mnist_folder: Path) -> Iterator[Desk]:
    """A new user without a W&B server: runs stay on disk. Programs started here end with the test."""
    with ended_afterwards(tmp_path) as mark:
        yield make_desk(tmp_path, mnist_folder, mark)


@pytest.fixture(scope="session")
def new_desk(tmp_path_factory: pytest.TempPathFactory, mnist_folder: Path) -> Iterator[Callable[[], Desk]]:
    """Desks for fixtures that live longer than a test."""
    with ended_afterwards(tmp_path_factory.mktemp("desks")) as mark:
        yield lambda: make_desk(tmp_path_factory.mktemp("desk"), mnist_folder, mark)


def make_desk(folder: Path, data: Path, mark: dict[str, str]) -> Desk:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB_", "MNIST_SWEEP_", "XDG_"))}
    return Desk(
        folder,
        kept
        | mark
        | {
            "HOME": str(folder),
            "MNIST_SWEEP_DATA": str(data),
            "OMP_NUM_THREADS": "1",
            "WANDB_MODE": "offline",
            "WANDB_SILENT": "true",
            "WANDB_ERROR_REPORTING": "false",
        },
    )


# --- runs that W&B kept on disk ---------------------------------------------------------------------------------------


@dataclass
class OfflineRun:
    """What a run said to W&B, read back from its file; `exit_code` is None for a run that was never finished."""

    path: Path
    name: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    artifacts: list[str] = field(default_factory=list)
    preempting: bool = False
    exit_code: int | None = None


def read_offline_run(path: Path) -> OfflineRun:
    """Read a `.wandb` file: W&B's records in LevelDB's log format, behind a header of seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    run = OfflineRun(path)
    for blob in _log_records(path.read_bytes()):
        record = Record.FromString(blob)
        match record.WhichOneof("record_type"):
            case "run":
                run.name = record.run.display_name
                run.tags = list(record.run.tags)
                run.config |= _values(record.run.config.update)
            case "config":
                run.config |= _values(record.config.update)
            case "summary":
                run.summary |= _values(record.summary.update)
            case "history":
                run.history.append(_values(record.history.item))
            case "artifact":
                run.artifacts.append(record.artifact.type)
            case "preempting":
                run.preempting = True
            case "exit":
                run.exit_code = record.exit.exit_code
    return run


def _values(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def _log_records(content: bytes) -> Iterator[bytes]:
    block, head = 32_768, 7
    position, parts = head, b""
    while position + head <= len(content):
        left = block - position % block
        if left < head:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, position)
        assert kind in (1, 2, 3, 4), f"not a log record at byte {position}"
        parts += content[position + head : position + head + length]
        position += head + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""
    assert position == len(content), "the file ends inside a record"
    assert not parts, "the file ends inside a record"
