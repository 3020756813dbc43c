"""What the search is given of a sweep's runs."""

import json
from typing import Any

import httpx
import pytest
import yaml

from mnist_sweep.search import Trial
from mnist_sweep.server.store import Store, lines, projects, rows, runs, sweeps
from mnist_sweep.server.sweeps.trials import Trials
from tests.server.conftest import Ask
from tests.server.sweep_client import GRID, Sweep

CONFIG: dict[str, Any] = {
    "method": "random",
    "metric": {"name": "val.loss"},
    "parameters": {"x": {"min": 0.0, "max": 1.0}},
}


def test_trials_are_read_once_and_hold_only_what_the_search_reads(store: Store) -> None:
    cached = Trials()

    def read() -> list[Trial]:
        with store.read() as db:
            sweep = rows.Sweep.by_id(db, sweep_id)
            return cached.of(db, sweep, sweeps.parse_config(sweep.config))

    with store.write() as db:
        project = projects.ensure(db, "local", "p").id
        prior = runs.create(db, project, "prior", "finished", config={"x": {"value": 0.5}, "y": {"value": 1}})
        sweep_id = sweeps.create(db, project, yaml.dump(CONFIG), prior_runs=json.dumps([prior]))
        run = runs.create(db, project, "a", "running", sweep_id=sweep_id, trial=0, params='{"x": 0.25}')
        history = [{"val": {"loss": 2.0}, "_step": 0}, {"other": 1}, {"constraint/size": -1}]
        lines.put(db, run, lines.HISTORY, 0, [json.dumps(row) for row in history], runs.update(db, run))
    earlier, first = read()
    assert (earlier.name, earlier.params, earlier.state) == ("prior", {"x": 0.5}, "finished")
    assert (first.name, first.params, first.state) == ("a", {"x": 0.25}, "running")
    assert first.history == [{"val": {"loss": 2.0}}, {"constraint/size": -1}]
    assert read()[1] is first, "an unchanged run is not read again"
    with store.write() as db:
        runs.update(db, run, state="finished", summary={"val": {"loss": 1.0}, "other": 3})
    assert read()[0] is earlier
    assert (read()[1].state, read()[1].summary) == ("finished", {"val": {"loss": 1.0}})


def test_prior_runs_teach_the_search(client: httpx.Client, ask: Ask) -> None:
    for name, x in (("good", 1), ("bad", 2)):
        made = ask(
            'mutation($n: String, $c: JSONString) { upsertBucket(input: {name: $n, modelName: "p", config: $c})'
            " { inserted } }",
            n=name,
            c=json.dumps({"x": {"value": x}}),
        )
        assert made["upsertBucket"]["inserted"] is True
    sweep = Sweep(client, ask, GRID, priorRunsFilters=json.dumps({"$or": [{"name": "good"}]}))
    agent = sweep.agent()
    assert [sweep.draw(agent)[1]["x"] for _ in range(2)] == [2, 3]


def test_a_bayesian_search_begins_where_its_prior_runs_were_best(client: httpx.Client, ask: Ask) -> None:
    config = {
        "method": "bayes",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"x": {"min": 0.0, "max": 1.0}},
    }
    earlier = Sweep(
        client, ask, config | {"method": "grid", "parameters": {"x": {"values": [i / 16 for i in range(17)]}}}
    )
    agent = earlier.agent()
    for _ in range(17):
        run, args = earlier.draw(agent)
        earlier.finish(run, (args["x"] - 0.84) ** 2)
    sweep = Sweep(client, ask, config, priorRunsFilters=json.dumps({"sweep": earlier.name}))
    agent = sweep.agent()
    while not (commands := sweep.beat(agent)):
        pass  # an agent asks again, too, while the process that searches begins
    assert commands[0]["args"]["x"]["value"] == pytest.approx(0.84, abs=0.1)  # by chance: one time in five
