"""The process for what needs PyTorch."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mnist_sweep import search
from mnist_sweep.server.process.launch import ServerProcess
from mnist_sweep.server.sweeps.search_process import Busy, SearchProcess
from tests.processes import gone
from tests.server.conftest import asking, clean_environment
from tests.server.sweep_client import Sweep

CONFIG = search.parse(
    {"method": "bayes", "metric": {"name": "loss"}, "parameters": {"x": {"min": 0.0, "max": 1.0}}, "program": "t.py"}
)
TRIALS = [search.Trial(f"r{n}", {"x": n / 8}, "finished", summary={"loss": abs(n / 8 - 0.4)}) for n in range(8)]


@pytest.fixture
def worker() -> Iterator[SearchProcess]:
    made = SearchProcess(wait=60)
    yield made
    made.end()


def test_a_fit_happens_in_another_process_and_is_the_same(worker: SearchProcess) -> None:
    assert search.needs_model(CONFIG, TRIALS)
    found = worker.call(search.suggest, CONFIG, TRIALS, seed=1)
    assert found == worker.call(search.suggest, CONFIG, TRIALS, seed=1)
    assert found is not None
    assert 0 <= found["x"] <= 1
    if sys.platform == "linux":
        assert "libtorch" in Path(f"/proc/{worker.pid}/maps").read_text()


def test_errors_come_back_and_a_killed_worker_is_replaced(worker: SearchProcess) -> None:
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        worker.call(math.sqrt, -1.0)
    before = worker.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    assert worker.call(math.sqrt, 4.0) == 2
    assert worker.pid != before


def test_it_ends_when_nobody_asks() -> None:
    worker = SearchProcess(wait=60, idle=0.01)
    assert worker.call(math.sqrt, 9.0) == 3
    while worker.pid is not None:
        time.sleep(0.01)
    assert worker.call(math.sqrt, 9.0) == 3
    worker.end()


def test_a_call_under_way_is_given_up_when_the_server_ends() -> None:
    worker = SearchProcess(wait=60)
    told: list[type[BaseException]] = []

    def ask() -> None:
        try:
            worker.call(time.sleep, 600)
        except Busy as error:
            told.append(type(error))

    asking = threading.Thread(target=ask)
    assert worker.call(math.sqrt, 4.0) == 2
    asking.start()
    worker.close()
    asking.join()
    assert told == [Busy]
    with pytest.raises(Busy):
        worker.call(math.sqrt, 4.0)


def test_it_ends_with_a_server_that_is_killed() -> None:
    program = """
import math, os, signal
from mnist_sweep.server.sweeps.search_process import SearchProcess
worker = SearchProcess(60)
worker.call(math.sqrt, 4.0)
print(worker.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    answer = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=False)
    assert answer.returncode == -signal.SIGKILL
    assert gone(int(answer.stdout))


@pytest.mark.skipif(sys.platform != "linux", reason="looks for libraries in /proc")
def test_a_server_that_searches_does_not_load_torch_itself(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", env=clean_environment(tmp_path))
    facts = server.start()
    with httpx.Client(base_url=facts.url, auth=("api", facts.key), timeout=120) as client:
        sweep = Sweep(client, asking(client), CONFIG.given)
        agent = sweep.agent()
        for trial in TRIALS[:6]:  # the last ones are fitted
            while not (commands := sweep.beat(agent)):
                time.sleep(0.1)
            sweep.finish(commands[0]["run_id"], float(trial.summary["loss"]))
    libraries = Path(f"/proc/{facts.pid}/maps").read_text()
    assert server.stop() == 0
    assert "sqlite" in libraries
    assert "libtorch" not in libraries
