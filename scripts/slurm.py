"""Run a real Slurm cluster of several nodes on one machine, for trying out jobs and for `make cluster-test`.

    python -m scripts.slurm              # three nodes, until Ctrl-C; prints the variable that another shell needs
    python -m scripts.slurm --install    # install Slurm if it is missing (as root, on Debian and derivatives)

It has two partitions, `main` and `urgent`. Jobs in `urgent` preempt those in `main`. Each node is a daemon with
its own port and spool folder. There are no cgroups, no accounting and no GPUs.
"""

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
MISSING = "Slurm (slurmctld, slurmd, munged) is not installed; run `python -m scripts.slurm --install` to install it"
NODES, CPUS = 3, 2
GRACE_SECONDS, KILL_SECONDS = 240, 240
"""Seconds that a preempted job and a cancelled job have to exit.

Clusters give half a minute or more, but their jobs have more than a share of a core."""
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
# Without this option, a preempted job gets SIGTERM instead of the signal that it asked for.
SlurmctldParameters=preempt_send_user_signal
{nodes}
PartitionName=main Nodes=ALL Default=YES PriorityTier=1 GraceTime={grace} MaxTime=60 State=UP
PartitionName=urgent Nodes=ALL PriorityTier=10 PreemptMode=OFF MaxTime=60 State=UP
"""


class Slurm:
    """A controller and its nodes (`node1`, `node2`, …) as child processes."""

    def __init__(self, folder: Path, *, prolog: Path | None = None) -> None:
        """Prepare the cluster without starting anything.

        Args:
            folder: folder for all files. Its path must be short, because it contains a socket.
            prolog: a program that each task runs first. Its output `export NAME=value` sets the task's environment.
        """
        self.folder = folder
        self.nodes = [f"node{number}" for number in range(1, NODES + 1)]
        self.env = {"SLURM_CONF": str(folder / "slurm.conf")}
        self._prolog = prolog
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start everything and wait until the nodes are idle. Raise RuntimeError after a minute."""
        self._configure()
        munge = [f"--{name}={self.folder / 'munge'}.{name.removesuffix('-file')}" for name in _MUNGE_FILES]
        self._start("munged", "--foreground", "--force", f"--key-file={self._key()}", *munge)
        _wait_until((self.folder / "munge.socket").exists, "munged")
        self._start("slurmctld", "-D", "-i")
        for node in self.nodes:
            self.start_node(node)
        _wait_until(lambda: len(self._idle()) == len(self.nodes), f"Slurm, see {self.folder}/*.log")

    def stop(self) -> None:
        """Cancel all jobs, then stop the daemons."""
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
        """Run one of Slurm's commands and return its output. Raise RuntimeError with the reason if it fails."""
        done = subprocess.run(command, env=os.environ | self.env, capture_output=True, text=True, timeout=60)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def start_node(self, node: str) -> None:
        """Start the daemon of a node."""
        self._start("slurmd", "-D", "-N", node, name=node)

    def kill_node(self, node: str) -> None:
        """Kill the daemon of a node. Its jobs keep running, unknown to Slurm."""
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
        self.folder.chmod(0o755)  # jobs need access to the socket in it
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
    """Return in one line why Slurm cannot be started; None if it can."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return None if all(shutil.which(program, path=path) for program in PROGRAMS) else MISSING


def install() -> None:
    """Install Slurm with the system's package manager if possible. Otherwise report it in one line."""
    if missing() is None:
        return
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        packages = " ".join(PACKAGES)
        installer = ["/bin/sh", "-c", f"apt-get update && apt-get install --yes --no-install-recommends {packages}"]
        print("Installing Slurm:", *installer, file=sys.stderr)
        quiet = subprocess.DEVNULL
        subprocess.run(installer, stdin=quiet, stdout=quiet, stderr=quiet, check=False)
    if missing():
        print("Slurm could not be installed; the tests that need it will be skipped", file=sys.stderr)


def free_ports(count: int) -> list[int]:
    """Return `count` different free TCP ports of this machine."""
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
    parser.add_argument("--install", action="store_true", help="only install Slurm if it is missing")
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
