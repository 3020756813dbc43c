"""Sleep and clock changes are not taken for the silence of a run."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from mnist_sweep.server.store import Store, clock
from mnist_sweep.server.sweeps.silence import SilenceWatch
from tests.server.conftest import Running, asking, basic, clean_environment, served
from tests.server.sweep_client import GRID, Sweep

ROWS = 90
TRAIN = f"""
import sys, time, wandb
def train():
    with wandb.init() as run:
        for i in range({ROWS}):
            run.log({{"loss": i}})
            print("row", i, flush=True)
            time.sleep(0.2)
wandb.agent(sys.argv[1], train, project="p", entity="local", count=1)
"""


class Clocks:
    """Both clocks of a machine, and a watch that looks at them every second."""

    def __init__(self, crash_after: float) -> None:
        self.wall, self.monotonic = 1000.0, 0.0
        self.watch = SilenceWatch(crash_after, 1.0)

    def listen(self, seconds: int) -> float | None:
        for _ in range(seconds):
            self.wall += 1
            self.monotonic += 1
            found = self.watch.tick(self.wall, self.monotonic)
        return found


def test_nothing_is_silent_until_the_server_listened_long_enough() -> None:
    clocks = Clocks(10)
    assert clocks.listen(10) is None
    assert clocks.listen(1) == 1001
    assert clocks.listen(5) == 1006


@pytest.mark.parametrize("wall", [300.0, 0.0, 3600.0])
@pytest.mark.parametrize("monotonic", [300.0, 0.0])
def test_time_without_listening_does_not_count(wall: float, monotonic: float) -> None:
    """The process was stopped, the machine slept (its monotonic clock may stand still), or the clock was set."""
    clocks = Clocks(10)
    clocks.listen(20)
    beat = clocks.wall
    clocks.wall += wall
    clocks.monotonic += monotonic
    for _ in range(8):
        silent_since = clocks.listen(1)
        assert silent_since is not None
        assert silent_since <= beat, "who was heard just before the gap has time to be heard again"
    silent_since = clocks.listen(10)
    assert silent_since is not None
    assert silent_since > beat, "who stays silent is given up"


def test_after_the_clock_is_set_back_only_later_heartbeats_are_judged() -> None:
    clocks = Clocks(10)
    clocks.listen(20)
    clocks.wall -= 3600
    earliest = clocks.wall
    for _ in range(10):
        silent_since = clocks.listen(1)
        assert silent_since is not None
        assert silent_since <= earliest + 1
    silent_since = clocks.listen(10)
    assert silent_since is not None
    assert earliest + 5 < silent_since < clocks.wall


def start_agent(folder: Path, sweep: str, env: dict[str, str]) -> subprocess.Popen[str]:
    """Start the real client's agent and wait for its first row."""
    agent = subprocess.Popen(
        [sys.executable, "-c", TRAIN, sweep], cwd=folder, env=env, stdout=subprocess.PIPE, text=True
    )
    assert agent.stdout is not None
    while not agent.stdout.readline().startswith("row 4"):
        assert agent.poll() is None
    return agent


def assert_never_handed_out_again(sweep: Sweep, agent: subprocess.Popen[str]) -> None:
    """Ask for trials as another agent until the first one has ended."""
    other = sweep.agent()
    while agent.poll() is None:
        assert [command for command in sweep.beat(other) if command["type"] != "exit"] == []
        time.sleep(0.1)
    assert agent.wait() == 0
    (run,) = sweep.look()["runs"]["edges"]
    history = sweep.ask('query($n: String) { project(name: "p") { run(name: $n) { history } } }', n=run["node"]["name"])
    assert [json.loads(row)["loss"] for row in history["project"]["run"]["history"]] == list(range(ROWS))
    assert run["node"]["state"] == "finished"


CONFIG = GRID | {"run_cap": 1, "retry_crashed": 3}


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_living_trial_is_not_handed_out_again_when_the_clock_is_set(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    with served(store, crash_after=8.0) as client:
        sweep = Sweep(client, asking(client), CONFIG)
        env = clean_environment(tmp_path) | {"WANDB_BASE_URL": str(client.base_url), "WANDB_API_KEY": store.key}
        agent = start_agent(tmp_path, sweep.name, env)
        real = clock.wall
        monkeypatch.setattr(clock, "wall", lambda: real() + jump)
        assert_never_handed_out_again(sweep, agent)


def test_a_living_trial_is_not_handed_out_again_after_the_server_was_stopped(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    server = Running(tmp_path / "data", home, "--crash-after", "8")
    server.start()
    try:
        with httpx.Client(base_url=server.url, headers=basic(server.key), timeout=60) as client:
            sweep = Sweep(client, asking(client), CONFIG)
            agent = start_agent(tmp_path, sweep.name, server.env)
            assert server.process is not None
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(12)
            server.process.send_signal(signal.SIGCONT)
            assert_never_handed_out_again(sweep, agent)
    finally:
        server.stop()


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_run_that_died_does_not_wait_for_a_clock_that_was_set_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(store, crash_after=0.4) as client:
        sweep = Sweep(client, asking(client), GRID)
        run, _ = sweep.draw(sweep.agent())
        sweep.start(run)
        real = clock.wall
        monkeypatch.setattr(clock, "wall", lambda: real() - 3600)
        wait_for(lambda: sweep.states() == ["crashed"])


def test_silent_runs_crash_and_their_agents_trials_with_them(store: Store) -> None:
    with served(store, crash_after=0.3) as client:
        sweep = Sweep(client, asking(client), GRID)
        started, _ = sweep.draw(sweep.agent())
        sweep.start(started)
        sweep.draw(sweep.agent())
        wait_for(lambda: sweep.states() == ["crashed", "crashed"])
