"""The loop of one agent: its quota, when it gives up, and its exit codes."""

from collections.abc import Iterator
from typing import Any

import pytest

from mnist_sweep.agents import loop
from mnist_sweep.agents.client import TrialAssignment
from mnist_sweep.agents.loop import INVALID_LIMIT, UnlimitedQuota, enough_time_left, exit_code_for, run_agent
from mnist_sweep.connection.waiting import ServerUnavailable
from mnist_sweep.protocol import EXIT_NODE_UNFIT, EXIT_PREEMPTED
from mnist_sweep.signals import Preempted, Terminated
from mnist_sweep.train import FailedRunError


class Client:
    """A server that has `trials` trials."""

    def __init__(self, trials: int) -> None:
        self.runs: Iterator[int] = iter(range(trials))

    def next(self) -> TrialAssignment | None:
        return next((TrialAssignment("local/p/s", str(run), {"x": {"value": run}}) for run in self.runs), None)


class Quota(UnlimitedQuota):
    def __init__(self, left: int) -> None:
        self.left = left

    def acquire(self, block: bool = True) -> bool:
        self.left -= 1
        return self.left >= 0

    def release(self) -> None:
        self.left += 1


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What each trial comes to; the list is used up from the front."""
    found: list[Any] = []
    monkeypatch.setattr(loop, "AgentClient", lambda path: Client(len(found)))
    monkeypatch.setattr(loop, "_train_trial", lambda client, trial: found.pop(0))
    for name in ("SLURM_JOB_ID", "MNIST_SWEEP_KUBERNETES_JOB"):
        monkeypatch.delenv(name, raising=False)
    return found


def test_an_agent_trains_until_the_sweep_is_over(outcomes: list[Any]) -> None:
    outcomes += [True, True, True]
    assert run_agent("local/p/s", UnlimitedQuota()) == 0
    assert outcomes == []


def test_a_trial_over_budget_does_not_count(outcomes: list[Any]) -> None:
    outcomes += [False, True, False, True, True]
    assert run_agent("local/p/s", Quota(2)) == 0
    assert outcomes == [True]


def test_an_agent_gives_up_after_failed_runs_in_a_row(outcomes: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    outcomes += [OSError("no"), True, *[FailedRunError("wrong")] * INVALID_LIMIT, True]
    assert run_agent("local/p/s", UnlimitedQuota()) == 1
    assert outcomes == [True]
    assert capsys.readouterr().err == "error: 3 runs in a row failed: run `mnist-sweep check` on the sweep file\n"


@pytest.mark.parametrize("config_error", [True, False])
def test_a_task_is_retried_on_another_node_unless_the_configuration_is_wrong(
    outcomes: list[Any], config_error: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "812")
    failed = FailedRunError("wrong")
    failed.config_error = config_error
    outcomes += [failed] * INVALID_LIMIT
    assert run_agent("local/p/s", UnlimitedQuota()) == (1 if config_error else EXIT_NODE_UNFIT)


def test_a_server_that_stays_away_is_one_line(
    outcomes: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(client: object, trial: object) -> bool:
        raise ServerUnavailable("http://here does not answer, for 600 s now")

    outcomes += [True]
    monkeypatch.setattr(loop, "_train_trial", away)
    assert run_agent("local/p/s", UnlimitedQuota()) == 1
    assert capsys.readouterr().err == "error: http://here does not answer, for 600 s now\n"


def test_a_task_stops_if_its_time_is_too_short_for_another_trial(
    outcomes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert enough_time_left(left=180, longest=100)
    assert not enough_time_left(left=179, longest=100)
    monkeypatch.setattr(loop.task, "seconds_left", lambda: 59.0)
    outcomes += [True, True]
    assert run_agent("local/p/s", UnlimitedQuota()) == EXIT_PREEMPTED
    assert outcomes == [True]


@pytest.mark.parametrize(
    ("stop", "requeued", "code"),
    [
        (KeyboardInterrupt(), True, 130),
        (Preempted(), False, EXIT_PREEMPTED),
        (Terminated(), True, EXIT_PREEMPTED),
        (Terminated(), False, 130),
    ],
)
def test_the_exit_code_says_whether_the_work_resumes(
    stop: BaseException, requeued: bool, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop.task, "taken_back", lambda: requeued)
    assert exit_code_for(stop) == code
