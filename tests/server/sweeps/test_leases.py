"""Trials are lent to the tasks of a cluster: preempted, lost, given back, and orphans that go on all the same."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from mnist_sweep.server.sweeps.leases import Task, may_write, parse

from ..conftest import Ask
from ..sweep_client import GRID, START, Sweep

FILES = """mutation($name: String!) {
  createRunFiles(input: {entityName: "local", projectName: "p", runName: $name, files: ["output.log"]}) {
    files { name } } }"""
ARTIFACT = """mutation($name: String!) {
  createArtifact(input: {entityName: "local", projectName: "p", runName: $name, artifactTypeName: "checkpoint",
    artifactCollectionName: "c", digest: "d"}) { artifact { id } } }"""


@contextmanager
def speaking(client: httpx.Client, task: str | None) -> Iterator[None]:
    """The client's requests come from a task, `slurm-7_1.1/0`."""
    before = dict(client.headers)
    if task is not None:
        client.headers["X-Sweep-Task"] = task
    yield
    client.headers = httpx.Headers(before)


def epochs(client: httpx.Client, ask: Ask, run: str) -> list[str]:
    query = 'query($n: String!) { project(name: "p") { run(name: $n) { history } } }'
    found: list[str] = ask(query, n=run)["project"]["run"]["history"]
    return found


@pytest.mark.parametrize(
    ("header", "task"),
    [("slurm-7_1.1/0", Task("slurm-7_1.1", 0)), (None, None), ("", None), ("a/-1", None), ("a b/1", None)],
)
def test_a_task_is_read_from_its_header(header: str | None, task: Task | None) -> None:
    assert parse(header) == task
    assert task is None or str(task) == header


def test_whose_trial_has_no_holder_may_be_written_by_all() -> None:
    assert may_write(None, None)
    assert may_write("a/0", None)
    assert may_write("a/0", "a/0")
    assert not may_write("a/0", "a/1")
    assert not may_write(None, "a/0")
    assert not may_write("a/0", "a/0", revoked=True)


def test_a_run_being_preempted_stays_so_through_changes_of_its_configuration(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID)
    run, _ = sweep.draw(sweep.agent())
    sweep.start(run)
    sweep.stream(run, 0.5, preempting=True)
    ask(START, name=run, sweep=sweep.name)  # the client sends what it collected on the way
    assert sweep.states() == ["preempting"]
    sweep.stream(run, complete=True, exitcode=75)
    assert sweep.states() == ["preempted"]


def test_ctrl_c_is_no_failure(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID)
    run, _ = sweep.draw(sweep.agent())
    sweep.finish(run, 0.5, exitcode=255)
    assert sweep.states() == ["killed"]


def test_a_task_that_begins_again_goes_on_with_its_trial_at_once(client: httpx.Client, ask: Ask) -> None:
    """Its predecessor never said that it ended; others find their own trials meanwhile."""
    sweep = Sweep(client, ask, GRID)
    with speaking(client, "slurm-7_1.1/0"):
        run, args = sweep.draw(sweep.agent())
        sweep.start(run)
        sweep.stream(run, 0.5, 0.4)
    with speaking(client, "slurm-7_2.1/0"):
        assert sweep.draw(sweep.agent())[0] != run
    with speaking(client, "slurm-7_1.1/1"):
        assert sweep.draw(sweep.agent()) == (run, args)
        sweep.start(run)
    assert sweep.states() == ["running", "pending"]
    assert len(epochs(client, ask, run)) == 2 - 2  # the client asked to begin anew, without `resume`


def test_a_preempted_trial_is_its_own_tasks_first(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID)
    given = {}
    for task in ("a.1/0", "b.1/0"):
        with speaking(client, task):
            given[task], _ = sweep.draw(sweep.agent())
            sweep.start(given[task])
    for task, run in given.items():
        with speaking(client, task):
            sweep.stream(run, 0.5, preempting=True, complete=True, exitcode=75)
    with speaking(client, "b.1/1"):
        assert sweep.draw(sweep.agent())[0] == given["b.1/0"]
    with speaking(client, "c.1/0"):
        assert sweep.draw(sweep.agent())[0] == given["a.1/0"], "nobody waits for a task that may not come back"


def test_an_orphan_is_not_heard_and_is_told_to_stop(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID)
    with speaking(client, "slurm-7_1.1/0"):
        agent = sweep.agent()
        run, _ = sweep.draw(agent)
        sweep.start(run)
        sweep.stream(run, 0.5)
    with speaking(client, "slurm-7_1.1/1"):
        assert sweep.draw(sweep.agent())[0] == run
        sweep.start(run)
        sweep.stream(run, 0.5, 0.4)
    with speaking(client, "slurm-7_1.1/0"):
        late = sweep.stream(run, 9.0, 9.0, 9.0, offset=1)
        assert late["stopped"] is True
        assert sweep.stream(run, complete=True, exitcode=1)["stopped"] is True
        for query, variables in ((START, {"sweep": sweep.name}), (FILES, {}), (ARTIFACT, {})):
            answer = client.post("/graphql", json={"query": query, "variables": {"name": run, **variables}}).json()
            assert "no longer yours" in answer["errors"][0]["message"]
        assert sweep.beat(agent, run) == [{"type": "exit"}]
    assert sweep.states() == ["running"]
    assert not [row for row in epochs(client, ask, run) if "9.0" in row]
    with speaking(client, "slurm-7_1.1/1"):
        ask(FILES, name=run)
        ask(ARTIFACT, name=run)
        sweep.stream(run, complete=True, exitcode=0)
    with speaking(client, "slurm-7_1.1/0"):
        client.post("/graphql", json={"query": START, "variables": {"name": run, "sweep": sweep.name}})
    assert sweep.states() == ["finished"], "nor when all is over"


def test_a_trial_that_fails_on_one_machine_is_tried_on_others_so_many_times(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID | {"parameters": {"x": {"values": [1, 2]}}})
    runs = []
    for task in ("broken.1/0", "broken.1/0", "second.1/0", "third.1/0", "fourth.1/0"):
        with speaking(client, task):
            run, _ = sweep.draw(sweep.agent())
            runs.append(run)
            sweep.start(run)
            if task == "fourth.1/0":
                assert run == runs[0], "three others had it before"
            if len(runs) != 2:
                sweep.stream(run, preempting=True, complete=True, exitcode=70)
            else:
                sweep.stream(run, complete=True, exitcode=0)
    assert runs[1] != runs[0], "the broken machine does not get its own trial again while there is another"
    assert runs == [runs[0], runs[1], *[runs[0]] * 3]
    assert sweep.states() == ["failed", "finished"]


def test_a_lost_trial_of_a_task_is_not_lent_for_ever(client: httpx.Client, ask: Ask) -> None:
    """What kills every machine that it runs on ends as crashed."""
    sweep = Sweep(client, ask, GRID | {"parameters": {"x": {"value": 1}}})
    for restart in range(4):
        with speaking(client, f"a.1/{restart}"):
            run, _ = sweep.draw(sweep.agent())
            sweep.start(run)
    with speaking(client, "a.1/4"):
        assert sweep.beat(sweep.agent()) == [{"type": "exit"}]
    assert sweep.states() == ["crashed"]
