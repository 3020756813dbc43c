"""Sweeps as the client creates, changes and reads them, with its real agents and its real scheduler."""

import json
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml

from mnist_sweep.server.store import Store, projects, rows, runs, sweeps
from tests.server.conftest import Ask, Running, asking, basic
from tests.server.sweep_client import CREATE, GRID, Sweep

TRAIN = """
import wandb
with wandb.init() as run:
    run.log({"loss": (run.config.x - 2) ** 2})
"""
READ = """
import json, sys, wandb
sweep = wandb.Api().sweep(sys.argv[1])
runs = [[run.state, run.config["x"], run.summary.get("loss")] for run in sweep.runs]
best = sweep.best_run()
count = sweep.expected_run_count
print(json.dumps({"state": sweep.state, "runs": runs, "best": best and best.config["x"], "count": count}, default=str))
"""


@pytest.fixture
def folder(running: Running, tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "read.py").write_text(READ)
    return tmp_path


def start(running: Running, folder: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(running.programs / command[0]), *command[1:]],
        cwd=folder,
        env=running.env | {"WANDB_DIR": str(folder), "WANDB_SILENT": "false"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str], timeout: float = 120) -> str:
    out, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0, out
    return out


def create(running: Running, folder: Path, config: dict[str, object], project: str) -> str:
    (folder / "sweep.yaml").write_text(json.dumps({"program": "train.py"} | config))
    told = finish(start(running, folder, "wandb", "sweep", "--project", project, "sweep.yaml"))
    return told.rpartition("wandb agent ")[2].split()[0]


def read(running: Running, folder: Path, sweep: str) -> dict[str, object]:
    answer: dict[str, object] = json.loads(finish(start(running, folder, "python", "read.py", sweep)).splitlines()[-1])
    return answer


def test_two_agents_of_the_command_line_share_a_grid(running: Running, folder: Path) -> None:
    config = {
        "method": "grid",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"x": {"values": [1, 2, 3, 4]}},
    }
    sweep = create(running, folder, config, "grid")
    for agent in [start(running, folder, "wandb", "agent", sweep) for _ in range(2)]:
        finish(agent)
    answer = read(running, folder, sweep)
    assert (answer["state"], answer["best"], answer["count"]) == ("FINISHED", 2, 4)
    assert answer["runs"] == [["finished", x, (x - 2) ** 2] for x in (1, 2, 3, 4)]


def test_the_clients_own_scheduler_searches_with_optuna(running: Running, folder: Path) -> None:
    if running.version < "0.31":
        pytest.skip("that client has no scheduler of its own")
    (folder / "space.py").write_text('def space(trial):\n    return {"x": trial.suggest_float("x", 0, 4)}\n')
    config = {
        "method": "custom",
        "run_cap": 3,
        "metric": {"name": "loss", "goal": "minimize"},
        "scheduler": {"engine": "optuna", "source": "space.py", "search_space": "space"},
        "parameters": {"x": {"min": 0.0, "max": 4.0}},
    }
    sweep = create(running, folder, config, "scheduled")
    agent = start(running, folder, "wandb", "agent", sweep)
    scheduler = start(running, folder, "wandb", "sweep-scheduler", "--poll-interval", "1", "--batch-size", "3", sweep)
    assert "the sweep is FINISHED" in finish(scheduler)
    finish(agent)
    answer = read(running, folder, sweep)
    runs = answer["runs"]
    assert isinstance(runs, list)
    assert answer["state"] == "FINISHED"
    assert [state for state, _, _ in runs] == ["finished"] * 3
    assert all(loss == pytest.approx((x - 2) ** 2) for _, x, loss in runs)


def test_a_sweep_is_pending_until_an_agent_joins_and_the_client_does_not_pause_it(
    running: Running, folder: Path
) -> None:
    config = {"method": "grid", "parameters": {"x": {"values": [1]}}}
    sweep = create(running, folder, config, "waiting")
    assert read(running, folder, sweep)["state"] == "PENDING"
    refused = start(running, folder, "wandb", "sweep", "--pause", sweep)
    out, _ = refused.communicate(timeout=120)
    assert refused.returncode != 0
    assert "Cannot pause pending sweep" in out
    finish(start(running, folder, "wandb", "agent", "--count", "1", sweep))
    assert read(running, folder, sweep)["state"] == "FINISHED"


def test_numbers_with_an_exponent_reach_the_program_as_numbers(running: Running, folder: Path) -> None:
    """By YAML 1.1, which the client reads, `1e-4` is text."""
    text = "program: train.py\nmethod: grid\nparameters: {x: {values: [1e-4, 1e-3]}}\n"
    (folder / "sweep.yaml").write_text(text)
    told = finish(start(running, folder, "wandb", "sweep", "--project", "exponents", "sweep.yaml"))
    sweep = told.rpartition("wandb agent ")[2].split()[0]
    finish(start(running, folder, "wandb", "agent", sweep))
    runs = read(running, folder, sweep)["runs"]
    assert isinstance(runs, list)
    assert [(state, x) for state, x, _ in runs] == [("finished", 1e-4), ("finished", 1e-3)]


def test_the_best_run_of_statistics_is_the_least_number(running: Running, folder: Path) -> None:
    (folder / "train.py").write_text(
        "import wandb\n"
        "with wandb.init() as run:\n"
        "    run.define_metric('loss', summary='min')\n"
        "    for more in (5, 0, 3):\n"
        "        run.log({'loss': run.config.x + more})\n"
    )
    config = {
        "method": "grid",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"x": {"values": [10.0, 9.0, 100.0]}},
    }
    sweep = create(running, folder, config, "statistics")
    finish(start(running, folder, "wandb", "agent", sweep))
    assert read(running, folder, sweep)["best"] == 9.0


SLEEP = """
import sys, time, wandb
with wandb.init() as run:
    print("running", flush=True)
    time.sleep(20)
    run.log({"loss": 1})
"""


def test_an_agent_of_a_deleted_sweep_takes_no_trial_of_the_next_one(running: Running, folder: Path) -> None:
    (folder / "train.py").write_text(SLEEP)
    config: dict[str, object] = {"method": "grid", "parameters": {"x": {"values": [1, 2]}}}
    old = create(running, folder, config, "deleted")
    agent = start(running, folder, "wandb", "agent", old)
    try:
        assert agent.stdout is not None
        while "running" not in agent.stdout.readline():
            assert agent.poll() is None
        with httpx.Client(base_url=running.url, headers=basic(running.key)) as client:
            look = f'{{ project(name: "deleted") {{ sweep(sweepName: "{old.split("/")[-1]}") {{ id }} }} }}'
            key = asking(client)(look)["project"]["sweep"]["id"]
            asking(client)("mutation($id: ID!) { deleteSweep(input: {id: $id}) { success } }", id=key)
        new = create(running, folder, config, "next")
        agent.communicate(timeout=120)  # it ends, with whatever code the client gives it
    finally:
        agent.kill()
    found = read(running, folder, new)
    assert (found["state"], found["runs"]) == ("PENDING", [])


@pytest.mark.parametrize(
    ("metric", "summaries", "best"),
    [
        ("loss", [{"loss": 10.0}, {"loss": 9.0}], 9),
        ("loss", [{"loss": {"min": 0.5}}, {"loss": {"min": 0.25, "max": 3}}], 0.25),
        ("val.loss", [{"val": {"loss": 10.0}}, {"val": {"loss": 9.0}}], 9),
        ("val.loss", [{"val": {"loss": {"best": 2}}}, {"val.loss": {"last": 3}}], 2),
    ],
)
def test_the_best_loss_and_the_order_find_a_metric_in_all_its_forms(
    client: httpx.Client, kept: Store, ask: Ask, metric: str, summaries: list[dict[str, object]], best: float
) -> None:
    with kept.write() as db:
        project = projects.ensure(db, "local", "p").id
        text = f"method: random\nmetric: {{name: {metric}}}\nparameters: {{x: {{min: 0, max: 1}}}}"
        sweep = sweeps.create(db, project, text)
        names = [f"run{number}" for number in range(len(summaries))]
        for name, summary in zip(names, summaries, strict=True):
            runs.create(db, project, name, "finished", sweep_id=sweep, summary=summary)
        sweep_name = rows.Sweep.by_id(db, sweep).name
    query = """query($s: String, $o: String, $f: JSONString) { project(name: "p") { sweep(sweepName: $s) { bestLoss
        runs(order: $o, filters: $f) { edges { node { name } } } } } }"""

    def found(**variables: str) -> tuple[float, list[str]]:
        answer = ask(query, s=sweep_name, **variables)["project"]["sweep"]
        return answer["bestLoss"], [edge["node"]["name"] for edge in answer["runs"]["edges"]]

    winner = next(name for name, summary in zip(names, summaries, strict=True) if str(best) in str(summary))
    ordered = [winner, *(name for name in names if name != winner)]
    assert found(o=f"+summary_metrics.{metric}") == (best, ordered)
    condition = json.dumps({f"summary_metrics.{metric}": {"$lte": best}})
    assert found(f=condition) == (best, [winner])


def test_a_wrong_configuration_is_refused_with_every_reason(client: httpx.Client) -> None:
    config = yaml.dump(
        {"method": "magic", "metric": {"goal": "up", "name": "x"}, "parameters": {"x": {"min": 3, "max": 1}}}
    )
    answer = client.post("/graphql", json={"query": CREATE, "variables": {"config": config}})
    (error,) = answer.json()["errors"]
    assert answer.status_code == 200
    assert error["message"].startswith("Invalid sweep config: ")
    assert error["message"].count(";") >= 2
    assert all(value in error["message"] for value in ("magic", "up"))


def test_keys_that_nobody_knows_are_warned_of_and_kept(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID | {"colour": "red"})
    assert sweep.warnings == ["'colour' is not a key of a sweep and is ignored"]
    look = 'query($s: String!) { project(name: "p") { sweep(sweepName: $s) { config } } }'
    assert yaml.safe_load(ask(look, s=sweep.name)["project"]["sweep"]["config"])["colour"] == "red"


def test_yaml_that_unfolds_is_refused(client: httpx.Client) -> None:
    rows = zip("abcdefg", "bcdefgh", strict=True)
    bomb = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in rows)
    answer = client.post("/graphql", json={"query": CREATE, "variables": {"config": bomb}})
    assert "aliases" in answer.json()["errors"][0]["message"]


def test_a_configuration_changes_only_before_the_first_run(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID)
    changed = yaml.dump(GRID | {"parameters": {"x": {"values": [7]}}})
    ask(CREATE, id=sweep.id, config=changed)
    agent = sweep.agent()
    assert sweep.draw(agent)[1] == {"x": 7}
    answer = client.post("/graphql", json={"query": CREATE, "variables": {"id": sweep.id, "config": yaml.dump(GRID)}})
    assert "cannot change" in answer.json()["errors"][0]["message"]


def test_runs_without_a_metric_do_not_disturb_order_or_best(client: httpx.Client, ask: Ask) -> None:
    sweep = Sweep(client, ask, GRID)
    agent = sweep.agent()
    names = [sweep.draw(agent)[0]]
    sweep.finish(names[0])
    for losses in ((float("nan"),), (0.5,)):
        names.append(sweep.draw(agent)[0])
        sweep.start(names[-1])
        text = json.dumps({"loss": losses[0]})
        sweep.stream(
            names[-1], complete=True, exitcode=0, files={"wandb-summary.json": {"offset": 0, "content": [text]}}
        )
    query = """query($o: String) { project(name: "p") { runs(order: $o) { edges { node { name } } } } }"""
    for order in ("+summary_metrics.loss", "-summary_metrics.loss"):
        found = [edge["node"]["name"] for edge in ask(query, o=order)["project"]["runs"]["edges"]]
        assert found[0] == names[2]
        assert set(found) == set(names)
    assert sweep.look()["bestLoss"] == 0.5
