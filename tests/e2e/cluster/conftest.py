"""A real Slurm of three nodes on this machine, and a user of it whose agents report to a real local server."""

import json
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from mnist_sweep.server.process.launch import ServerProcess
from scripts.slurm import Slurm, missing
from tests.e2e.conftest import BIN, ROOT, House, house, mnist_folder

__all__ = ["house", "mnist_folder"]

PROLOG = """#!/bin/sh
echo "export XDG_STATE_HOME=$HOME/disk-of-$SLURMD_NODENAME"
if [ -e "$HOME/broken-$SLURMD_NODENAME" ]; then echo "export MNIST_SWEEP_DATA=/dev/null/mnist"; fi
"""
"""Each node has a disk of its own, as far as checkpoints go; a broken one cannot read the images."""

OURS, THEIRS = "mnist-sweep agent", "wandb agent"
WANDB_AGENT = ROOT / "docs" / "wandb-agent.sh"

TINY = {
    "batch_size": 4096, "c1": 1, "c2": 1, "squeeze": 1, "c3": 1, "c4": 1, "c5": 1, "head": 1, "augment_strength": 0.0,
    "dropout": 0.0, "threads": 1, "precision": "float32",
}  # fmt: skip
READ = """
import json, wandb
runs = {runs}
print(json.dumps([[run.id, run.state, dict(run.config), list(run.scan_history())] for run in runs], default=str))
"""
CLOCK = ("_timestamp", "_runtime", "images_per_second")
PATIENCE = 1200.0
"""Seconds; a busy machine may take long."""


@dataclass
class Run:
    """A run as the server has it; its rows without what a clock says."""

    id: str
    state: str
    config: dict[str, Any]
    rows: list[dict[str, Any]]

    @property
    def epochs(self) -> list[int]:
        return [row["epoch"] for row in self.rows if "epoch" in row]


@dataclass
class User:
    """Somebody who submits jobs."""

    slurm: Slurm
    house: House
    server: ServerProcess
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def create(self, fields: dict[str, Any], rates: int = 1, **more: Any) -> str:
        """A grid over so many learning rates; returns entity/project/id."""
        sweep = {
            "method": "grid",
            "metric": {"name": "val/accuracy", "goal": "maximize"},
            "command": ["${env}", "${interpreter}", "-m", "mnist_sweep.train", "${args}"],
            "program": "train.py",
            "parameters": {name: {"value": value} for name, value in fields.items()}
            | {"max_lr": {"values": [round(0.01 + 0.001 * number, 3) for number in range(rates)]}},
        }
        (self.house.home / "sweep.yaml").write_text(yaml.safe_dump(sweep | more))
        code = "import wandb, yaml; print(wandb.sweep(yaml.safe_load(open('sweep.yaml')), project='mnist-sweep'))"
        return f"local/mnist-sweep/{self.house.python(code).split()[-1]}"

    def submit(self, path: str, *options: str) -> str:
        """Start `mnist-sweep submit`, which then follows the job; return its number."""
        said = self.house.home / f"submit-{len(self.started)}"
        self.start(said, "mnist-sweep", "submit", path, *options)
        found = self.wait(lambda: re.search(r"^Job (\d+):", said.read_text(), re.MULTILINE), said)
        return str(found[1])

    def start(self, said: Path, *command: str) -> subprocess.Popen[bytes]:
        with said.open("wb") as file:
            process = subprocess.Popen(
                [str(BIN / command[0]), *command[1:]],
                cwd=self.house.home,
                env=self.house.env,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        self.started.append(process)
        return process

    def work(self, agent: str, path: str, tasks: int = 1, *options: str) -> str:
        """Have tasks work on a sweep, as `mnist-sweep agent` or `wandb agent`; returns the job's number."""
        if agent == OURS:
            return self.submit(path, "--agents", str(tasks), *(f"--sbatch={option}" for option in options))
        logs = self.log(path, "%A").parent
        logs.mkdir(parents=True, exist_ok=True)
        output = f"--output={logs}/slurm-%A_%a.log"
        return self._sbatch(f"--array=0-{tasks - 1}", output, *options, str(WANDB_AGENT), path)

    def sbatch(self, script: str, *options: str) -> str:
        """Submit a script of the user's own; returns the job's number."""
        file = self.house.home / f"job-{len(list(self.house.home.glob('job-*')))}.sh"
        file.write_text(f"#!/bin/bash\n{script}\n")
        output = f"--output={self.house.home}/own-%A_%a.log"
        return self._sbatch("--requeue", "--open-mode=append", output, *options, str(file))

    def _sbatch(self, *arguments: str) -> str:
        done = subprocess.run(
            ["sbatch", "--parsable", *arguments],
            cwd=self.house.home, env=self.house.env, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def log(self, path: str, job: str, task: int = 0) -> Path:
        return self.house.home / "wandb" / f"agents-{path.split('/')[-1]}" / f"slurm-{job}_{task}.log"

    def wait(self, done: Callable[[], Any], *logs: Path) -> Any:
        """Wait until something is true, and return it; what has failed says what these logs have."""
        deadline = time.monotonic() + PATIENCE
        while not (found := done()):
            said = "\n".join(f"--- {log}\n{log.read_text()}" for log in logs if log.exists())
            assert time.monotonic() < deadline, f"{self.slurm.run('squeue', '--states=all')}\n{said}"
            time.sleep(0.3)
        return found

    def until_said(self, log: Path, text: str) -> None:
        self.wait(lambda: log.exists() and text in log.read_text(), log)

    def queue(self, job: str, what: str = "%T") -> list[str]:
        """A field of every task of a job that has not ended."""
        return self.slurm.run("squeue", "--noheader", "--array", f"--jobs={job}", f"--format={what}").split()

    def finish(self, path: str, job: str) -> list[Run]:
        """Wait until no task of a job is left, and return the runs of the sweep."""
        self.wait(lambda: self.hasten(job), *self.log(path, job).parent.glob("*.log"))
        return self.runs(path)

    def hasten(self, job: str) -> bool:
        """Let what was requeued begin soon, which by Slurm's design waits two minutes; whether nothing is left.

        Not at once: a node refuses a job that begins in the second in which it was taken away. Where one that came back
        refused a task whose orphan was still at work on it, do what a cluster's administrator does.
        """
        listed = self.slurm.run("squeue", "--noheader", "--array", f"--jobs={job}", "--format=%i %T %S %r")
        soon = (datetime.now() + timedelta(seconds=5)).isoformat()  # where Slurm has no time yet, it says N/A
        for line in listed.splitlines():
            number, state, start, reason = line.split(maxsplit=3)
            if state == "PENDING" and reason == "BeginTime" and start > soon:
                self.slurm.run("scontrol", "update", f"JobId={number}", "StartTime=now+3", check=False)
            if reason == "launch failed requeued held":
                drained = self.slurm.run("sinfo", "--noheader", "--partition=main", "--states=drain", "--format=%N")
                self.slurm.run("scontrol", "update", f"NodeName={drained}", "State=RESUME", check=False)
                self.slurm.run("scontrol", "release", number, check=False)
        return not listed

    def runs(self, path: str) -> list[Run]:
        """The runs of a sweep."""
        return self._read(f"wandb.Api().sweep({path!r}).runs")

    def sweep_state(self, path: str) -> str:
        return self.house.python(f"import wandb; print(wandb.Api().sweep({path!r}).state)").splitlines()[-1]

    def run(self, path: str) -> Run:
        """The run at entity/project/id."""
        (found,) = self._read(f"[wandb.Api().run({path!r})]")
        return found

    def _read(self, runs: str) -> list[Run]:
        found = [Run(*run) for run in json.loads(self.house.python(READ.format(runs=runs)).splitlines()[-1])]
        for run in found:
            run.rows = [{k: v for k, v in row.items() if k not in CLOCK} for row in run.rows]
        return found


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    if why := missing():
        pytest.skip(why)
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    prolog = folder / "prolog"
    prolog.write_text(PROLOG)
    prolog.chmod(0o755)
    folder.chmod(0o755)
    cluster = Slurm(folder, prolog=prolog)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder)


@contextmanager
def broken(user: User, node: str) -> Iterator[None]:
    """Inside, every trial fails on this node."""
    mark = user.house.home / f"broken-{node}"
    mark.touch()
    try:
        yield
    finally:
        mark.unlink()


@pytest.fixture(params=[OURS, THEIRS])
def agent(request: pytest.FixtureRequest) -> str:
    """Which program works on the trials."""
    return str(request.param)


@pytest.fixture
def user(slurm: Slurm, house: House) -> Iterator[User]:
    server = ServerProcess(house.home / "server", env=house.env, program=("-m", "mnist_sweep.cli", "server"))
    facts = server.start()
    house.env |= slurm.env | {
        "WANDB_BASE_URL": facts.url,
        "WANDB_API_KEY": facts.key,
        "WANDB_ERROR_REPORTING": "false",
        "MNIST_SWEEP_SERVER": str(server.data),
    }
    somebody = User(slurm, house, server)
    yield somebody
    for process in somebody.started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)
    slurm.run("scancel", "--signal=KILL", "--full", "--state=RUNNING", check=False)
    slurm.run("scancel", "--state=PENDING", check=False)
    somebody.wait(lambda: not slurm.run("squeue", "--noheader"))
    server.stop()
