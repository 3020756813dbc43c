"""The process of one agent: what it inherits, what it imports, and that it ends with its parent."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mnist_sweep.agents.child import child_environment
from mnist_sweep.cluster import task
from tests.processes import ended_afterwards, gone, runs


def test_agents_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(task, "cores", lambda: 8)
    assert [child_environment(1, agents)["OMP_NUM_THREADS"] for agents in (1, 3, 8, 20)] == ["8", "2", "1", "1"]


def test_threads_that_were_set_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two `mnist-sweep agent` started separately would else take two threads each on two cores, and spin."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert child_environment(1, 1)["OMP_NUM_THREADS"] == "1"


def test_an_agent_names_its_task_and_restart_in_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "812")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    environment = child_environment(3, 4)
    assert environment["WANDB_X_EXTRA_HTTP_HEADERS"] == '{"X-Sweep-Task": "slurm-812.3/2"}'
    assert environment["WANDB_JOB_TYPE"] == "slurm-812.3"


def test_an_agent_does_not_import_the_review() -> None:
    """As a spawned process does: the program's own module, the agent's, and what trains."""
    code = (
        "import sys, mnist_sweep.cli, mnist_sweep.agents.child, mnist_sweep.train\n"
        "print([name for name in sys.modules if name.startswith(('mnist_sweep.review', 'mnist_sweep.search'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


PARENT = """
import multiprocessing, signal, sys, time

def child(ending, connection):
    from mnist_sweep.agents.child import end_with_parent
    if ending == "unwanted":
        signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))  # survives the first
    end_with_parent(signal.SIGTERM, connection)
    print("ready", flush=True)
    time.sleep(600)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    ending = sys.argv[1]
    process = context.Process(target=child, args=(ending, theirs if ending == "unwanted" else None))
    process.start()
    print(process.pid, flush=True)
    input()
    ours.close()
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("ending", ["killed", "unwanted"])
def test_a_child_ends_with_its_parent(ending: str, tmp_path: Path) -> None:
    """If the parent is killed, and if it only closes its end of a connection."""
    (tmp_path / "parent.py").write_text(PARENT)
    with ended_afterwards(tmp_path) as mark:
        parent = subprocess.Popen(
            [sys.executable, "parent.py", ending],
            cwd=tmp_path,
            env=os.environ | mark | {"PYTHONPATH": str(Path(__file__).parents[2])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert parent.stdout is not None
        assert parent.stdin is not None
        child = int(parent.stdout.readline())
        assert parent.stdout.readline() == "ready\n"
        assert runs(child)
        if ending == "killed":
            parent.send_signal(signal.SIGKILL)
        else:
            parent.stdin.write("\n")
            parent.stdin.flush()
        assert gone(child)
