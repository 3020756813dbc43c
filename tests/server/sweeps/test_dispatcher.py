"""How a sweep runs, asked as the agents ask."""

import json
import threading
from collections import Counter
from typing import Any

import httpx
import pytest
import yaml

from mnist_sweep.server.store import Store, runs, sweeps
from tests.server.conftest import Ask
from tests.server.sweep_client import BEAT, CREATE, GRID, Sweep


def test_a_grid_hands_out_each_point_once_and_then_finishes(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID)
    first, second = sweep.agent(), sweep.agent()
    drawn = []
    for agent in (first, second, first):
        run, args = sweep.draw(agent)
        drawn.append(args["x"])
        sweep.finish(run, args["x"] / 2)
    assert sorted(drawn) == [1, 2, 3]
    look = sweep.look()
    assert (look["state"], look["runCount"], look["runCountExpected"], look["bestLoss"]) == ("FINISHED", 3, 3, 0.5)
    assert [edge["node"]["totalRuns"] for edge in look["agents"]["edges"]] == [2, 1]
    assert sweep.beat(first) == sweep.beat(second) == [{"type": "exit"}]


def test_a_sweep_is_pending_until_an_agent_joins_and_cannot_be_paused_before(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID)
    assert sweep.look()["state"] == "PENDING"
    answer = client.post("/graphql", json={"query": CREATE, "variables": {"id": sweep.id, "state": "PAUSED"}})
    (error,) = answer.json()["errors"]
    assert error["message"] == "the sweep is pending: only a running sweep can be paused"
    sweep.agent()
    assert sweep.look()["state"] == "RUNNING"
    sweep.set("PAUSED")
    assert sweep.look()["state"] == "PAUSED"


FIVE = GRID | {"parameters": {"x": {"values": [0, 1, 2, 3, 4]}}}
RANDOM = GRID | {"method": "random", "run_cap": 5, "parameters": {"x": {"min": 0.0, "max": 1.0}}}


def run_all(sweep: Sweep, agent: str) -> list[str]:
    """Execute trials until the server ends the agent; return the runs."""
    names = []
    while (command := sweep.beat(agent)[0])["type"] != "exit":
        names.append(command["run_id"])
        sweep.finish(command["run_id"], 1.0)
    return names


def assert_complete(sweep: Sweep) -> None:
    look = sweep.look()
    tried = [json.loads(edge["node"]["config"])["x"]["value"] for edge in look["runs"]["edges"]]
    assert (look["state"], look["runCount"], look["runCountExpected"], len(set(tried))) == ("FINISHED", 5, 5, 5)


@pytest.mark.parametrize("config", [FIVE, FIVE | {"run_cap": 5}, RANDOM, RANDOM | {"method": "bayes"}])
@pytest.mark.parametrize("deleted", [1, 3, 4])
def test_deleted_trials_are_replaced_while_a_sweep_runs(
    client: httpx.Client, ask: Ask, config: dict[str, Any], deleted: int
) -> None:
    sweep = Sweep(client, ask, config)
    agent = sweep.agent()
    for run in [sweep.draw(agent)[0] for _ in range(deleted)]:  # each is given up by the next question
        sweep.delete(run)
    run_all(sweep, agent)
    assert_complete(sweep)


@pytest.mark.parametrize("config", [FIVE, RANDOM])
@pytest.mark.parametrize("resumed", [True, False])
@pytest.mark.parametrize("deleted", [1, 3])
def test_trials_deleted_after_the_end_are_run_by_the_next_agent(
    client: httpx.Client, ask: Ask, config: dict[str, Any], resumed: bool, deleted: int
) -> None:
    sweep = Sweep(client, ask, config)
    for run in run_all(sweep, sweep.agent())[:deleted]:
        sweep.delete(run)
    if resumed:
        sweep.set("RUNNING")
    assert len(run_all(sweep, sweep.agent())) == deleted
    assert_complete(sweep)


def test_a_sweep_that_a_person_stopped_stays_stopped(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, FIVE)
    run, _ = sweep.draw(agent := sweep.agent())
    sweep.finish(run)
    sweep.set("FINISHED")
    assert sweep.beat(agent) == sweep.beat(sweep.agent()) == [{"type": "exit"}]


def test_a_paused_sweep_whose_trials_are_all_done_has_finished(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID | {"run_cap": 1})
    run, _ = sweep.draw(sweep.agent())
    sweep.set("PAUSED")
    sweep.finish(run)
    assert sweep.look()["state"] == "FINISHED"


def test_canceling_kills_what_has_not_started(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID)
    agent = sweep.agent()
    run, _ = sweep.draw(agent)
    sweep.set("CANCELED")
    assert sweep.states() == ["killed"]
    for _ in range(2):  # an answer may be lost
        assert sweep.beat(agent, run) == [{"type": "exit"}]
    sweep.start(run)
    assert sweep.stream(run, 1.0)["stopped"] is True
    sweep.start(run)
    change = """mutation($n: String!, $c: JSONString) {
      upsertBucket(input: {name: $n, modelName: "p", config: $c}) { inserted }
    }"""
    ask(change, n=run, c='{"_wandb": {"value": {"e": {}}}}')  # client 0.28 names the sweep at the start only
    assert sweep.states() == ["killed"], "its program began after all, and must not bring it back"
    sweep.stream(run, complete=True, exitcode=1)
    assert sweep.states() == ["killed"]


def test_an_exhausted_sweep_finishes_when_its_last_run_ends(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID | {"run_cap": 1})
    agent = sweep.agent()
    run, _ = sweep.draw(agent)
    assert sweep.beat(sweep.agent()) == [{"type": "exit"}]
    assert sweep.look()["state"] == "RUNNING"
    sweep.finish(run)
    assert sweep.look()["state"] == "FINISHED"


def test_a_busy_agent_gets_no_second_run(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID)
    agent = sweep.agent()
    run, _ = sweep.draw(agent)
    assert sweep.beat(agent, run) == []
    sweep.start(run)
    assert sweep.beat(agent, run) == []
    assert sweep.states() == ["running"]


def test_an_agent_that_winds_a_run_up_gets_no_further_one(client: httpx.Client, ask: Ask) -> None:
    """The run has reported its end, and its process is still there: the agent may be about to leave with it."""
    sweep = Sweep(client, ask, GRID)
    agent = sweep.agent()
    run, _ = sweep.draw(agent)
    sweep.finish(run, 0.5)
    assert sweep.beat(agent, run) == []
    assert sweep.draw(agent)[0] != run


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_nested_parameters_travel_whole(client: httpx.Client, ask: Ask, method: str) -> None:
    parameters = {
        "optimiser": {"parameters": {"lr": {"min": 0.0, "max": 1.0}, "kind": {"value": "sgd"}}},
        "width": {"distribution": "int_uniform", "min": 4, "max": 8},
    }
    sweep = Sweep(client, ask, GRID | {"method": method, "parameters": parameters})
    agent = sweep.agent()
    seen = []
    for _ in range(3):
        run, args = sweep.draw(agent)
        assert args["optimiser"]["kind"] == "sgd"
        assert 0 <= args["optimiser"]["lr"] <= 1
        assert args["width"] in range(4, 9)
        seen.append(json.dumps(args))
        sweep.finish(run, args["optimiser"]["lr"])
    assert len(set(seen)) == 3
    stored = sweep.look()["runs"]["edges"][0]["node"]
    assert json.loads(stored["config"])["optimiser"]["value"] == json.loads(seen[0])["optimiser"]


def test_a_paused_sweep_waits_a_stopped_one_ends_a_canceled_one_kills(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID)
    agent, other = sweep.agent(), sweep.agent()
    run, _ = sweep.draw(agent)
    sweep.start(run)
    sweep.set("PAUSED")
    assert sweep.beat(other) == []
    assert sweep.beat(agent, run) == []
    sweep.set("RUNNING")
    second, _ = sweep.draw(other)
    sweep.set("FINISHED")
    assert sweep.beat(other, second) == [], "a stopped sweep lets its runs end"
    sweep.finish(second)
    assert sweep.beat(other) == [{"type": "exit"}]
    sweep.set("CANCELED")
    assert sweep.beat(agent, run) == [{"type": "exit"}]
    assert sweep.states() == ["killed", "finished"]


def test_a_run_can_be_stopped_and_is_then_killed_not_failed(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID)
    agent = sweep.agent()
    run, _ = sweep.draw(agent)
    sweep.start(run)
    bucket = ask('query($n: String) { project(name: "p") { run(name: $n) { id } } }', n=run)["project"]["run"]["id"]
    ask("mutation($id: ID!) { stopRun(input: {id: $id}) { success } }", id=bucket)
    assert sweep.stream(run, 1.0)["stopped"] is True
    assert sweep.beat(agent, run) == [{"type": "stop", "run_id": run}]
    assert sweep.beat(agent, run) == [], "one order is enough: a second signal would cut the run's ending short"
    sweep.stream(run, complete=True, exitcode=1)
    node = sweep.look()["runs"]["edges"][0]["node"]
    assert (node["state"], node["stopReason"]) == ("killed", "stopped by request")


def test_a_program_that_dies_before_its_run_starts_costs_one_trial(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID)
    agent = sweep.agent()
    first, _ = sweep.draw(agent)
    second, _ = sweep.draw(agent)
    assert first != second
    assert sweep.states() == ["failed", "pending"]


def test_a_child_that_vanishes_has_crashed(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID)
    agent = sweep.agent()
    run, _ = sweep.draw(agent)
    sweep.start(run)
    sweep.draw(agent)
    assert sweep.states() == ["crashed", "pending"]


def test_a_vanished_trial_is_handed_out_again_where_the_sweep_asks_for_it(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID | {"retry_crashed": 1, "run_cap": 1})
    assert sweep.warnings == []
    agent = sweep.agent()
    run, args = sweep.draw(agent)
    sweep.start(run)
    sweep.stream(run, 9.0, 9.0)
    assert sweep.draw(agent) == (run, args)
    sweep.finish(run, 1.0)
    history = ask('query($n: String) { project(name: "p") { run(name: $n) { history } } }', n=run)
    assert [json.loads(row)["loss"] for row in history["project"]["run"]["history"]] == [1.0]
    assert sweep.look()["state"] == "FINISHED"


def test_a_preempted_trial_is_resumed(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID | {"run_cap": 1})
    agent = sweep.agent()
    run, _ = sweep.draw(agent)
    sweep.start(run)
    sweep.stream(run, 1.0, preempting=True)
    sweep.stream(run, complete=True, exitcode=143)
    assert sweep.states() == ["preempted"]
    (command,) = sweep.beat(sweep.agent())
    assert (command["type"], command["run_id"]) == ("resume", run)


def test_hyperband_stops_a_bad_run_and_says_why(client: httpx.Client, ask: Ask) -> None:
    early = {"type": "hyperband", "min_iter": 2, "eta": 2, "strict": True}
    sweep = Sweep(client, ask, GRID | {"method": "random", "parameters": {"x": {"min": 0.0, "max": 1.0}},
                                       "early_terminate": early})  # fmt: skip
    agent = sweep.agent()
    for loss in (0.1, 0.2, 0.3, 0.4):
        run, _ = sweep.draw(agent)
        sweep.finish(run, loss, loss, loss, loss)
    run, _ = sweep.draw(agent)
    sweep.start(run)
    assert sweep.stream(run, 9.0)["stopped"] is False
    assert sweep.stream(run, 9.0, offset=1)["stopped"] is True
    node = sweep.look()["runs"]["edges"][-1]["node"]
    assert node["stopped"] is True
    assert node["stopReason"].startswith("hyperband: ")


def test_a_sweep_ends_once_a_run_has_reached_its_target(client: httpx.Client, ask: Ask) -> None:
    metric = {"name": "loss", "goal": "minimize", "target": 0.5}
    sweep = Sweep(client, ask, GRID | {"method": "random", "metric": metric})
    agent, other = sweep.agent(), sweep.agent()
    first, _ = sweep.draw(agent)
    second, _ = sweep.draw(other)
    sweep.finish(first, 0.6, 0.4)
    assert sweep.beat(agent) == [{"type": "exit"}]
    sweep.finish(second, 0.9)
    assert sweep.beat(other) == [{"type": "exit"}]
    assert sweep.look()["state"] == "FINISHED"


def test_queued_runs_go_out_before_anything_else_and_respect_the_cap(client: httpx.Client, ask: Ask) -> None:
    config = {"method": "custom", "run_cap": 2, "parameters": {"x": {"min": 0.0, "max": 1.0}}}
    sweep = Sweep(client, ask, config)
    agent = sweep.agent()
    assert sweep.beat(agent) == [], "nothing is queued yet"
    enqueue = "mutation($id: ID!, $c: JSONString!) { enqueueSweepRun(input: {id: $id, config: $c}) { id } }"
    for x in (0.25, 0.75):
        ask(enqueue, id=sweep.id, c=json.dumps({"x": {"value": x}}))
    third = client.post("/graphql", json={"query": enqueue, "variables": {"id": sweep.id, "c": '{"x": 1}'}})
    assert "finished" in third.json()["errors"][0]["message"]
    for x in (0.25, 0.75):
        run, args = sweep.draw(agent)
        assert args == {"x": x}
        sweep.finish(run)
    assert sweep.beat(agent) == [{"type": "exit"}]


def test_a_deleted_sweep_is_a_404_for_its_agents(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID)
    agent = sweep.agent()
    ask("mutation($id: ID!) { deleteSweep(input: {id: $id}) { success } }", id=sweep.id)
    answer = client.post("/graphql", json={"query": BEAT, "variables": {"id": agent, "runState": "{}"}})
    assert answer.status_code == 404


def test_many_agents_at_once_never_get_the_same_point(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID | {"parameters": {"x": {"values": list(range(40))}}})
    agents = [sweep.agent() for _ in range(8)]
    drawn: list[int] = []

    def work(agent: str) -> None:
        while commands := sweep.beat(agent) or [{"type": "wait"}]:
            if (command := commands[0])["type"] == "exit":
                return
            if command["type"] == "wait":
                continue
            drawn.append(command["args"]["x"]["value"])
            sweep.finish(command["run_id"], 1.0)

    threads = [threading.Thread(target=work, args=(agent,)) for agent in agents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(drawn) == Counter(range(40))


def test_what_a_killed_server_handed_out_is_handed_out_again(store: Store) -> None:
    with store.write() as db:
        project = db.execute(
            "INSERT INTO projects (entity, name, created_at) VALUES ('local', 'p', '') RETURNING id"
        ).fetchone()[0]
        sweep_id = sweeps.create(db, project, yaml.dump(GRID))
        agent = sweeps.create_agent(db, sweep_id, "h")
        runs.create(db, project, "lost", "pending", sweep_id=sweep_id, agent_id=agent, trial=0, params='{"x": 1}')
        db.execute("UPDATE sweeps SET trials = 1")
    from mnist_sweep.server.sweeps.dispatcher import Dispatcher

    dispatcher = Dispatcher(store)
    assert [command["run_id"] for command in dispatcher.heartbeat(agent, {})] == ["lost"]
    (second,) = dispatcher.heartbeat(agent, {})
    assert second["run_id"] != "lost", "the second time it was heard and did not start"


def test_an_agent_costs_no_more_the_more_there_are(kept: Store, client: httpx.Client, ask: Ask) -> None:
    """Counted in SQLite's own instructions: to sign up, to be given a trial, and a heartbeat."""
    sweep = Sweep(client, ask, GRID | {"method": "random"})
    executed = 0

    def count() -> int:
        nonlocal executed
        executed += 1
        return 0

    with kept.write() as db:
        db.set_progress_handler(count, 10)

    def cost() -> int:
        before = executed
        agent = sweep.agent()
        run, _ = sweep.draw(agent)
        sweep.start(run)
        sweep.beat(agent, run)
        return executed - before

    try:
        first = [cost() for _ in range(20)][-1]
        for _ in range(200):
            cost()
        assert cost() < 4 * first  # it was fifty times as much
    finally:
        with kept.write() as db:
            db.set_progress_handler(None, 0)
