"""A real sweep of short trials while its parts are killed, stopped and started again at random: is anything lost?

    python -m scripts.chaos                          # 40 trials, minutes to an hour
    python -m scripts.chaos --trials 6 --seed 3      # a look

`mnist-sweep sweep` runs as a new user starts it, with a local server of its own. At moments of the seed's choice an
agent or the server is killed (SIGKILL) or stopped for a while (SIGSTOP), or the command itself is killed and begun
again with `mnist-sweep sweep ID`. At the end every trial must have ended once, well, with each of its epochs and its
objective logged once, and no process may be left. The exit code is 0 if so. Linux only (it reads /proc).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from mnist_sweep.server.process.launch import ServerProcess, announced
from mnist_sweep.training import mnist

EPOCHS = 3
TINIEST = {name: {"value": 1} for name in ("c1", "c2", "squeeze", "c3", "c4", "c5", "head")}
ROOT = Path(__file__).parents[1]
READ = """
import json, sys, wandb
sweep = wandb.Api().sweep(sys.argv[1])
print(json.dumps([
    [run.id, run.state, run.summary.get("complete"), list(run.scan_history())] for run in sweep.runs
], default=str))
"""
QUIET_SECONDS = 300.0
"""How long processes may take to notice that they are alone."""


@dataclass
class Storm:
    """One sweep and what is done to it."""

    home: Path
    trials: int
    agents: int
    chance: random.Random
    parent: subprocess.Popen[bytes] | None = None
    sweep: str = ""
    starts: int = 0
    """Of the command."""

    def __post_init__(self) -> None:
        self.data, self.said = self.home / "data", self.home / "said"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "XDG_", "MNIST_SWEEP", "SLURM_"))}
        folders = {"HOME": str(self.home), "MNIST_SWEEP_SERVER": str(self.data), "MNIST_SWEEP_DATA": str(mnist.fetch())}
        self.env = kept | folders | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        parameters = TINIEST | {
            "epochs": {"value": EPOCHS},
            "batch_size": {"value": 4096},
            "augment_strength": {"value": 0.0},
            "max_lr": {"distribution": "uniform", "min": 0.01, "max": 0.5},
        }
        config = {
            "name": "chaos",
            "project": "chaos",
            "method": "random",
            "metric": {"name": "objective", "goal": "minimize"},
            "run_cap": self.trials,
            "command": ["${env}", "${interpreter}", "-m", "mnist_sweep.train", "${args}"],
            "program": "mnist_sweep/train.py",
            "parameters": parameters,
        }
        (self.home / "chaos.yaml").write_text(yaml.safe_dump(config))

    def start(self) -> None:
        """The command, for the first time or once more."""
        self.starts += 1
        command = ["sweep", self.sweep or "chaos.yaml", f"--agents={self.agents}"]
        with self.said.open("ab") as said:
            self.parent = subprocess.Popen(
                [sys.executable, "-m", "mnist_sweep.cli", *command],
                cwd=self.home,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )

    def rage(self, least: float, most: float) -> list[str]:
        """Do harm every `least` to `most` seconds, where trials are slower after each sign of work, until the sweep is
        done; returns what went wrong with the command.
        """
        self.start()
        begun, before = time.monotonic(), 0
        while True:
            assert self.parent is not None
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self.parent.wait(self.chance.uniform(least, most))
                return [] if code == 0 else [f"the command ended with {code}: {self.said.read_text()[-2000:]}"]
            said = self.said.read_text()
            found = re.findall(r"^Sweep (\S+): ", said, re.MULTILINE)
            worked = len(re.findall(r": (?:running, epoch|finished,) ", said))
            if len(found) < self.starts or worked == before:
                continue  # harm that comes before any work shows nothing, and on a slow machine never ends
            self.sweep, before = found[-1], worked
            harm = self.chance.choice(
                (self.kill_agent, self.stop_agent, self.kill_server, self.stop_server, self.restart)
            )
            print(f"{time.monotonic() - begun:6.0f} s  {harm()}", flush=True)

    def kill_agent(self) -> str:
        return _send(signal.SIGKILL, self._agent(), "agent")

    def stop_agent(self) -> str:
        return self._stop(self._agent(), "agent", self.chance.uniform(1, 10))

    def kill_server(self) -> str:
        return _send(signal.SIGKILL, self._server(), "server")

    def stop_server(self) -> str:
        return self._stop(self._server(), "server", self.chance.uniform(1, 40))

    def restart(self) -> str:
        """Kill the command; its agents have a moment or none before it begins again."""
        assert self.parent is not None
        self.parent.kill()
        self.parent.wait()
        pause = self.chance.choice((0.0, self.chance.uniform(1, 20)))
        time.sleep(pause)
        self.start()
        return f"killed the command, began it again after {pause:.0f} s"

    def _stop(self, pid: int | None, what: str, seconds: float) -> str:
        told = _send(signal.SIGSTOP, pid, what)
        time.sleep(seconds)
        _send(signal.SIGCONT, pid, what)
        return f"{told} for {seconds:.0f} s"

    def _agent(self) -> int | None:
        assert self.parent is not None
        children = Path(f"/proc/{self.parent.pid}/task/{self.parent.pid}/children").read_text().split()
        agents = [pid for pid in map(int, children) if b"spawn_main" in _command(pid)]
        return self.chance.choice(agents) if agents else None

    def _server(self) -> int | None:
        facts = announced(self.data)
        return facts.pid if facts is not None and b"mnist_sweep.server" in _command(facts.pid) else None

    def verdict(self) -> list[str]:
        """What is not as it should be, one line each."""
        try:
            with FileLock(self.data / "server.lock").acquire(timeout=QUIET_SECONDS):
                pass
        except Timeout:
            return [f"the server still serves {QUIET_SECONDS:.0f} s after the command has ended"]
        faults = [f"process {pid} is left: {_command(pid)!r}" for pid in self._left()]
        server = ServerProcess(self.data, env=self.env)
        facts = server.start()
        env = self.env | {"WANDB_BASE_URL": facts.url, "WANDB_API_KEY": facts.key, "WANDB_SILENT": "true"}
        read = [sys.executable, "-c", READ, self.sweep]
        done = subprocess.run(read, env=env, cwd=self.home, capture_output=True, text=True, check=True)
        server.stop()
        runs = json.loads(done.stdout.splitlines()[-1])
        if len(runs) != self.trials:
            faults.append(f"{len(runs)} trials, {self.trials} were asked for")
        for run, state, complete, rows in runs:
            if state != "finished" or complete is not True:
                faults.append(f"{run}: {state}, complete: {complete}")
            if (epochs := [row["epoch"] for row in rows if "train/loss" in row]) != [*range(1, EPOCHS + 1)]:
                faults.append(f"{run}: epochs {epochs}")
            if (objectives := sum(row.get("objective") is not None for row in rows)) != 1:
                faults.append(f"{run}: its objective was logged {objectives} times")
        return faults

    def _left(self) -> list[int]:
        """Programs of this home that still run once they had time to end."""
        deadline = time.monotonic() + QUIET_SECONDS
        while (left := list(_of_home(self.home))) and time.monotonic() < deadline:
            time.sleep(0.5)
        return left


def _of_home(home: Path) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"HOME={home}\0".encode() in (folder / "environ").read_bytes():
                yield int(folder.name)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _send(number: signal.Signals, pid: int | None, what: str) -> str:
    if pid is None:
        return f"found no {what}"
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    return f"{number.name} to the {what}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40, help="[%(default)s]")
    parser.add_argument("--agents", type=int, default=2, help="trials side by side [%(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="of what is done, and when [%(default)s]")
    parser.add_argument("--pause", type=float, nargs=2, default=(5.0, 30.0), metavar="S", help="between two [5 30]")
    parser.add_argument("--home", type=Path, help="a folder to keep; a temporary one otherwise")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        home = arguments.home or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        home.mkdir(parents=True, exist_ok=True)
        storm = Storm(home.absolute(), arguments.trials, arguments.agents, random.Random(arguments.seed))
        faults = storm.rage(*arguments.pause) or storm.verdict()
    print("\n".join(faults) or f"{arguments.trials} trials: each ended once, its rows whole; nothing is left running")
    return int(bool(faults))


if __name__ == "__main__":
    raise SystemExit(main())
