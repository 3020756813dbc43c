"""What the search is given of a sweep's runs."""

import json
from typing import Any

import yaml

from mnist_sweep.search import Trial
from mnist_sweep.server.store import Store, lines, projects, runs, sweeps
from mnist_sweep.server.store.rows import Sweep
from mnist_sweep.server.sweeps.trials import Trials

CONFIG: dict[str, Any] = {
    "method": "random",
    "metric": {"name": "val.loss"},
    "parameters": {"x": {"min": 0.0, "max": 1.0}},
}


def test_trials_are_read_once_and_hold_only_what_the_search_reads(store: Store) -> None:
    cached = Trials()

    def read() -> list[Trial]:
        with store.read() as db:
            sweep = Sweep.by_id(db, sweep_id)
            return cached.of(db, sweep, sweeps.parse_config(sweep.config))

    with store.write() as db:
        project = projects.ensure(db, "local", "p").id
        prior = runs.create(db, project, "prior", "finished", config={"x": {"value": 0.5}, "y": {"value": 1}})
        sweep_id = sweeps.create(db, project, yaml.dump(CONFIG), prior_runs=json.dumps([prior]))
        run = runs.create(db, project, "a", "running", sweep_id=sweep_id, trial=0, params='{"x": 0.25}')
        rows = [{"val": {"loss": 2.0}, "_step": 0}, {"other": 1}, {"constraint/size": -1}]
        lines.put(db, run, lines.HISTORY, 0, [json.dumps(row) for row in rows], runs.update(db, run))
    earlier, first = read()
    assert (earlier.name, earlier.params, earlier.state) == ("prior", {"x": 0.5}, "finished")
    assert (first.name, first.params, first.state) == ("a", {"x": 0.25}, "running")
    assert first.history == [{"val": {"loss": 2.0}}, {"constraint/size": -1}]
    assert read()[1] is first, "an unchanged run is not read again"
    with store.write() as db:
        runs.update(db, run, state="finished", summary={"val": {"loss": 1.0}, "other": 3})
    assert read()[0] is earlier
    assert (read()[1].state, read()[1].summary) == ("finished", {"val": {"loss": 1.0}})
