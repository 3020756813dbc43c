"""A real Slurm of several nodes, all on this one machine: to try jobs on, and for `make cluster-test`.

    python -m scripts.slurm              # three nodes, until Ctrl-C; prints what another shell needs
    python -m scripts.slurm --install    # as root, on Debian and its like: get Slurm where there is none

Its partitions are `main`, and `urgent`, whose jobs take the place of those in `main`. Each node is a daemon of its own
with a port and a spool folder of its own. There are no cgroups, no accounting and no GPUs.
"""

from __future__ import annotations

import argparse
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
MISSING = "there is no Slurm on this machine (slurmctld, slurmd, munged): `python -m scripts.slurm --install` gets it"
NODES, CPUS = 3, 2
GRACE_SECONDS, KILL_SECONDS = 240, 240
"""How long a job whose place is taken, and one that is to end, has for it; clusters give from half a minute up, and
have more than a part of a core for it."""
START_SECONDS = 60.0

CONFIGURATION = """\
ClusterName=one-machine
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdSpoolDir={folder}/spool-%n
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
{prolog}
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdTimeout=10
KillWait={kill}
MinJobAge=3600
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=5,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# Without this a job that is preempted gets SIGTERM, and not the signal it asked for.
SlurmctldParameters=preempt_send_user_signal
{nodes}
PartitionName=main Nodes=ALL Default=YES PriorityTier=1 GraceTime={grace} MaxTime=60 State=UP
PartitionName=urgent Nodes=ALL PriorityTier=10 PreemptMode=OFF MaxTime=60 State=UP
"""


class Slurm:
    """A controller and its nodes, `node1` and so on, as child processes of this one."""

    def __init__(self, folder: Path, *, prolog: Path | None = None) -> None:
        """Nothing is started yet.

        Args:
            folder: everything lies in it; its path must be short, for the sake of a socket.
            prolog: a program that each task runs first: its lines `export NAME=value` become the task's environment.
        """
        self.folder = folder
        self.nodes = [f"node{number}" for number in range(1, NODES + 1)]
        self.env = {"SLURM_CONF": str(folder / "slurm.conf")}
        self._prolog = prolog
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start everything and wait until the nodes are idle. Raises RuntimeError if they are not in a minute."""
        self._configure()
        munge = [f"--{name}={self.folder / 'munge'}.{name.removesuffix('-file')}" for name in _MUNGE_FILES]
        self._start("munged", "--foreground", "--force", f"--key-file={self._key()}", *munge)
        _wait_until((self.folder / "munge.socket").exists, "munged")
        self._start("slurmctld", "-D", "-i")
        for node in self.nodes:
            self.start_node(node)
        _wait_until(lambda: len(self._idle()) == len(self.nodes), f"Slurm, see {self.folder}/*.log")

    def stop(self) -> None:
        """End all jobs, then the daemons."""
        if "slurmctld" in self._running:
            self.run("scancel", "--signal=KILL", "--full", f"--user={getpass.getuser()}", check=False)
            self.run("scancel", f"--user={getpass.getuser()}", check=False)
            deadline = time.monotonic() + 20
            while self.run("squeue", "--noheader", check=False) and time.monotonic() < deadline:
                time.sleep(0.5)
        for process in reversed(self._running.values()):
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def run(self, *command: str, check: bool = True) -> str:
        """What one of Slurm's commands prints. Raises RuntimeError with its reason if it fails."""
        done = subprocess.run(command, env=os.environ | self.env, capture_output=True, text=True, timeout=60)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def start_node(self, node: str) -> None:
        self._start("slurmd", "-D", "-N", node, name=node)

    def kill_node(self, node: str) -> None:
        """Kill the daemon of a node; the jobs on it live on, and nobody knows of them."""
        process = self._running.pop(node)
        process.kill()
        process.wait()

    def _idle(self) -> set[str]:
        return set(self.run("sinfo", "--noheader", "--Node", "--states=idle", "--format=%N", check=False).split())

    def _start(self, program: str, *arguments: str, name: str | None = None) -> None:
        name = name or program
        found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        assert found, MISSING
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [found, *arguments],
                env=os.environ | self.env,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _configure(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)  # jobs reach the socket through it
        (self.folder / "state").mkdir(mode=0o700, exist_ok=True)
        ports = free_ports(1 + len(self.nodes))
        host = socket.gethostname().split(".")[0]
        nodes = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={CPUS} State=UNKNOWN"
            for node, port in zip(self.nodes, ports[1:], strict=True)
        ]
        text = CONFIGURATION.format(
            folder=self.folder,
            host=host,
            user=getpass.getuser(),
            ports=ports,
            grace=GRACE_SECONDS,
            kill=KILL_SECONDS,
            nodes="\n".join(nodes),
            prolog=f"TaskProlog={self._prolog}" if self._prolog else "",
        )
        Path(self.env["SLURM_CONF"]).write_text(text)

    def _key(self) -> Path:
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        return key


_MUNGE_FILES = ("socket", "pid-file", "log-file", "seed-file")


def missing() -> str | None:
    """Why no Slurm can be started here, in a line; None if one can."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return None if all(shutil.which(program, path=path) for program in PROGRAMS) else MISSING


def install() -> None:
    """Get Slurm from the system's package manager where that may be; says so in a line where it may not."""
    if missing() is None:
        return
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        packages = " ".join(PACKAGES)
        way = ["/bin/sh", "-c", f"apt-get update && apt-get install --yes --no-install-recommends {packages}"]
        print("getting Slurm:", *way, file=sys.stderr)
        quiet = subprocess.DEVNULL
        subprocess.run(way, stdin=quiet, stdout=quiet, stderr=quiet, check=False)
    if missing():
        print("no Slurm could be had; the tests on it will be skipped", file=sys.stderr)


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on, each another one."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [free.getsockname()[1] for free in sockets]
    finally:
        for free in sockets:
            free.close()


def _wait_until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not start")
        time.sleep(0.2)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--install", action="store_true", help="get Slurm where there is none, start nothing")
    if parser.parse_args(argv).install:
        install()
        return 0
    if why := missing():
        print(f"error: {why}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    slurm = Slurm(Path(tempfile.mkdtemp(prefix="slurm-")))
    try:
        slurm.start()
        print(f"export SLURM_CONF={slurm.env['SLURM_CONF']}", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        slurm.stop()
        shutil.rmtree(slurm.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
