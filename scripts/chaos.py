"""Run a real sweep while its processes are killed, paused and restarted at random, and check that nothing is lost.

    python -m scripts.chaos                          # 40 trials, minutes to an hour
    python -m scripts.chaos --trials 6 --seed 3      # a quick check

`mnist-sweep sweep` runs as for a new user, with its own local server. At random times, the script disturbs it: it kills
an agent or the server (SIGKILL), pauses one for a while (SIGSTOP), or kills the command and resumes the sweep with
`mnist-sweep sweep ID`. `--seed` determines the times and the disturbances. At the end, every trial must have finished
successfully and exactly once. It must have logged each of its epochs and its objective exactly once, and no process may
be left. The exit code is 0 if all this holds. The script only runs on Linux because it reads /proc.
"""

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
SMALLEST = {name: {"value": 1} for name in ("c1", "c2", "squeeze", "c3", "c4", "c5", "head")}
ROOT = Path(__file__).parents[1]
READ = """
import json, sys, wandb
sweep = wandb.Api().sweep(sys.argv[1])
print(json.dumps([
    [run.id, run.state, run.summary.get("complete"), list(run.scan_history())] for run in sweep.runs
], default=str))
"""
QUIET_SECONDS = 300.0
"""How long processes may take to exit after the command has ended."""


@dataclass
class Experiment:
    """One sweep and the disturbances applied to it."""

    home: Path
    trials: int
    agents: int
    rng: random.Random
    parent: subprocess.Popen[bytes] | None = None
    sweep: str = ""
    starts: int = 0
    """Number of starts of the command."""

    def __post_init__(self) -> None:
        self.data, self.log = self.home / "data", self.home / "sweep.log"
        inherited = {
            k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "XDG_", "MNIST_SWEEP", "SLURM_"))
        }
        folders = {"HOME": str(self.home), "MNIST_SWEEP_SERVER": str(self.data), "MNIST_SWEEP_DATA": str(mnist.fetch())}
        self.env = inherited | folders | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        parameters = SMALLEST | {
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
        """Start the command, or restart it with the sweep's id."""
        self.starts += 1
        command = ["sweep", self.sweep or "chaos.yaml", f"--agents={self.agents}"]
        with self.log.open("ab") as log:
            self.parent = subprocess.Popen(
                [sys.executable, "-m", "mnist_sweep.cli", *command],
                cwd=self.home,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def disturb(self, least: float, most: float) -> list[str]:
        """Disturb the sweep every `least` to `most` seconds until it is done. Return the command's faults.

        After a disturbance, the next one waits until a trial has made progress, however slow the machine is.
        """
        self.start()
        started, before, disturbed = time.monotonic(), 0, False
        while True:
            assert self.parent is not None
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self.parent.wait(self.rng.uniform(least, most))
                if code:
                    return [f"the command ended with {code}: {self.log.read_text()[-2000:]}"]
                return [] if disturbed else ["the sweep ended undisturbed: use more --trials or a shorter --pause"]
            output = self.log.read_text()
            found = re.findall(r"^Sweep (\S+): ", output, re.MULTILINE)
            worked = len(re.findall(r": (?:running, epoch|finished,) ", output))
            if len(found) < self.starts or worked == before:
                continue  # without progress in between, a sweep on a slow machine would never end
            self.sweep, before = found[-1], worked
            disturbance = self.rng.choice(
                (self.kill_agent, self.stop_agent, self.kill_server, self.stop_server, self.restart)
            )
            print(f"{time.monotonic() - started:6.0f} s  {disturbance()}", flush=True)
            disturbed = True

    def kill_agent(self) -> str:
        """Kill a random agent."""
        return _send(signal.SIGKILL, self._agent(), "agent")

    def stop_agent(self) -> str:
        """Pause a random agent for some seconds."""
        return self._stop(self._agent(), "agent", self.rng.uniform(1, 10))

    def kill_server(self) -> str:
        """Kill the server."""
        return _send(signal.SIGKILL, self._server(), "server")

    def stop_server(self) -> str:
        """Pause the server for some seconds."""
        return self._stop(self._server(), "server", self.rng.uniform(1, 40))

    def restart(self) -> str:
        """Kill the command, and restart it at once or after a pause."""
        assert self.parent is not None
        self.parent.kill()
        self.parent.wait()
        pause = self.rng.choice((0.0, self.rng.uniform(1, 20)))
        time.sleep(pause)
        self.start()
        return f"killed the command and restarted it after {pause:.0f} s"

    def _stop(self, pid: int | None, what: str, seconds: float) -> str:
        sent = _send(signal.SIGSTOP, pid, what)
        time.sleep(seconds)
        _send(signal.SIGCONT, pid, what)
        return f"{sent} for {seconds:.0f} s"

    def _agent(self) -> int | None:
        assert self.parent is not None
        children = Path(f"/proc/{self.parent.pid}/task/{self.parent.pid}/children").read_text().split()
        agents = [pid for pid in map(int, children) if b"spawn_main" in _command(pid)]
        return self.rng.choice(agents) if agents else None

    def _server(self) -> int | None:
        facts = announced(self.data)
        return facts.pid if facts is not None and b"mnist_sweep.server" in _command(facts.pid) else None

    def check(self) -> list[str]:
        """Return the faults in the result, one line each."""
        try:
            with FileLock(self.data / "server.lock").acquire(timeout=QUIET_SECONDS):
                pass
        except Timeout:
            return [f"the server is still running {QUIET_SECONDS:.0f} s after the command ended"]
        faults = [f"process {pid} is still running: {_command(pid)!r}" for pid in self._remaining()]
        server = ServerProcess(self.data, env=self.env)
        facts = server.start()
        env = self.env | {"WANDB_BASE_URL": facts.url, "WANDB_API_KEY": facts.key, "WANDB_SILENT": "true"}
        read = [sys.executable, "-c", READ, self.sweep]
        done = subprocess.run(read, env=env, cwd=self.home, capture_output=True, text=True, check=True)
        server.stop()
        runs = json.loads(done.stdout.splitlines()[-1])
        if len(runs) != self.trials:
            faults.append(f"the sweep has {len(runs)} trials instead of {self.trials}")
        for run, state, complete, rows in runs:
            if state != "finished" or complete is not True:
                faults.append(f"{run}: {state}, complete: {complete}")
            if (epochs := [row["epoch"] for row in rows if "train/loss" in row]) != [*range(1, EPOCHS + 1)]:
                faults.append(f"{run}: epochs {epochs}")
            if (objectives := sum(row.get("objective") is not None for row in rows)) != 1:
                faults.append(f"{run}: its objective was logged {objectives} times")
        return faults

    def _remaining(self) -> list[int]:
        """Return the processes of this home that are still running after they had time to exit."""
        deadline = time.monotonic() + QUIET_SECONDS
        while (remaining := list(_processes_of(self.home))) and time.monotonic() < deadline:
            time.sleep(0.5)
        return remaining


def _processes_of(home: Path) -> Iterator[int]:
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
        return f"found no {what} to signal"
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    return f"{number.name} to the {what}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40, help="number of trials [%(default)s]")
    parser.add_argument("--agents", type=int, default=2, help="parallel trials [%(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="seed of the disturbances and their times [%(default)s]")
    parser.add_argument(
        "--pause",
        type=float,
        nargs=2,
        default=(5.0, 30.0),
        metavar="S",
        help="shortest and longest time between two disturbances [5 30]",
    )
    parser.add_argument("--home", type=Path, help="folder to keep the data in (default: a temporary folder)")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        home = arguments.home or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        home.mkdir(parents=True, exist_ok=True)
        experiment = Experiment(home.absolute(), arguments.trials, arguments.agents, random.Random(arguments.seed))
        faults = experiment.disturb(*arguments.pause) or experiment.check()
    print(
        "\n".join(faults) or f"{arguments.trials} trials: each finished once with all its rows, and no process is left"
    )
    return int(bool(faults))


if __name__ == "__main__":
    raise SystemExit(main())
