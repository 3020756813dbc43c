"""From a sweep to its finals to the confirmed number, with the commands as a user types them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser import KEYS, Opener
from tests.e2e.conftest import House, new_house, serving

ONES = "c1=1 c2=1 squeeze=1 c3=1 c4=1 c5=1 head=0 epochs=1 batch_size=4096 augment_strength=0.0"
SWEPT = """
import sys, wandb
from wandb.agents import pyagent
from mnist_sweep.train import train

pyagent.Agent.HEARTBEAT_SLEEP_SECONDS = 0.2
words = dict(word.split("=") for word in sys.argv[1].split())
sweep = wandb.sweep({
    "name": "ones", "program": "mnist_sweep/train.py",
    "method": "grid", "metric": {"name": "objective", "goal": "minimize"},
    "parameters": {name: {"value": float(text) if "." in text else int(text)} for name, text in words.items()}
    | {"max_lr": {"values": [0.1, 0.5]}, "replicate": {"values": [0, 1]}},
}, project="mnist-sweep")
wandb.agent(sweep, function=train, project="mnist-sweep")
print(sweep)
"""
RUNS = """
import json, sys, wandb
runs = wandb.Api().runs("local/mnist-sweep", filters=json.loads(sys.argv[1]), lazy=False)
print(json.dumps([
    {"id": run.id, "name": run.name, "group": run.group, "job_type": run.job_type, "state": run.state,
     "config": dict(run.config), "summary": dict(run.summary_metrics), "rows": run.history(pandas=False)}
    for run in runs
]))
"""


@dataclass
class Chain:
    """A sweep of two configurations with two replicates each, and its finals."""

    house: House
    sweep: str
    finals: str
    """What `mnist-sweep finals` printed."""

    def runs(self, **filters: Any) -> list[dict[str, Any]]:
        said = self.house.run("python", "-c", RUNS, json.dumps(filters)).stdout
        return sorted(json.loads(said.splitlines()[-1]), key=lambda run: run["id"])


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, mnist_folder: Path) -> Iterator[Chain]:
    """Every replicate is in the sweep, so its finals need no training of their own."""
    with new_house(tmp_path_factory.mktemp("chain"), mnist_folder) as house, serving(house):
        KEYS[house.env["WANDB_BASE_URL"]] = house.env["WANDB_API_KEY"]
        sweep = house.run("python", "-c", SWEPT, ONES, timeout=280).stdout.split()[-1]
        reference = f"{ONES} max_lr=0.1"
        done = house.run(
            "mnist-sweep", "finals", sweep, "--rounds=2:1", "--fresh=1", "--epochs=1", f"--reference={reference}"
        )
        yield Chain(house, sweep, done.stdout)


def test_a_sweeps_trials_are_kept_as_lines(chain: Chain) -> None:
    done = chain.house.run("python", "-m", "scripts.trials", chain.sweep, "kept/trials.jsonl")
    assert "4 trials to kept/trials.jsonl" in done.stdout
    lines = [json.loads(line) for line in (chain.house.home / "kept/trials.jsonl").read_text().splitlines()]
    found = {(line["config"]["max_lr"], line["config"]["replicate"]): line["summary"]["objective"] for line in lines}
    assert sorted(found) == [(0.1, 0), (0.1, 1), (0.5, 0), (0.5, 1)]
    assert all(0 < objective < 3 for objective in found.values())
    done = chain.house.run("python", "-m", "scripts.trials", f"finals-{chain.sweep}", "kept/finals.jsonl")
    assert "0 trials to kept/finals.jsonl" in done.stdout  # they needed none of their own


def test_what_finals_chose_is_confirmed_in_runs_of_one_group(chain: Chain) -> None:
    """The file's lines are as without a server, and the runs say what the lines say; what is there is not trained."""
    next_command = re.search(r"^Next: (mnist-sweep confirm (\S+)) --seeds=20 --agents=1$", chain.finals, re.MULTILINE)
    assert next_command, chain.finals
    path = f"local/mnist-sweep/finals-{chain.sweep}"
    assert next_command[2] == path
    words = re.search(r"^Best of the sweep: (.*)$", chain.finals, re.MULTILINE)
    assert words
    fields = [f"--{word}" for word in words[1].split()]
    # by its fields and without a server first: two seeds are in the file before there are runs
    alone = chain.house.run("mnist-sweep", "confirm", *fields, "--seeds=1", env={"WANDB_MODE": "disabled"})
    assert "Runs: " not in alone.stdout
    assert chain.runs(jobType="confirm") == []
    done = chain.house.run("mnist-sweep", "confirm", path, "--seeds=2", "--threads=1", "--epochs=1")
    assert alone.stdout.splitlines()[0] in done.stdout
    assert f"Chosen by finals-{chain.sweep}: {words[1]}\n" in done.stdout

    lines = [json.loads(line) for line in (chain.house.home / "out/confirm.jsonl").read_text().splitlines()]
    runs = chain.runs(jobType="confirm")
    assert [line["result"]["seed"] for line in lines] == [run["config"]["seed"] for run in runs] == [0, 1]
    (group,) = {run["group"] for run in runs}
    assert re.fullmatch(rf"confirm-finals-{chain.sweep}-[0-9a-f]{{8}}", group)
    assert re.search(rf"^Runs: http://\S+/local/mnist-sweep/groups/{group}$", done.stdout, re.MULTILINE)
    final = chain.runs(name=f"finals-{chain.sweep}")[0]
    for run, line in zip(runs, lines, strict=True):
        assert (run["state"], run["name"]) == ("finished", f"seed {line['result']['seed']}")
        assert run["summary"]["test/accuracy"] == line["result"]["accuracy"]
        assert run["summary"]["complete"] is True
        assert "objective" not in run["summary"]
        assert run["config"]["precision"] == line["result"]["precision"] == "float32"
        assert run["config"]["confirms"]["sweep"] == chain.sweep
        assert run["config"]["confirms"]["chosen_by"] == "finals"
        assert run["config"]["confirms"]["claimed"] == final["summary"]["standing"][0]["accuracy"]
    trained = [[row["test/accuracy"] for row in run["rows"] if row.get("test/accuracy") is not None] for run in runs]
    assert trained == [[], [lines[1]["result"]["accuracy"]]]  # seed 0 was known from the file

    again = chain.house.run("mnist-sweep", "confirm", path, "--seeds=2", "--threads=1", "--epochs=1")
    assert again.stdout == done.stdout
    assert chain.runs(jobType="confirm") == runs


def test_a_sweep_is_confirmed_by_posterior_mean_and_says_what_is_claimed(chain: Chain) -> None:
    chain.house.run(
        "mnist-sweep", "confirm", chain.sweep, "--seeds=1", "--threads=1", "--epochs=1", "--file=sweep.jsonl"
    )
    (run,) = chain.runs(**{"config.confirms.value.chosen_by": "sweep"})
    assert run["group"].startswith(f"confirm-{chain.sweep}-")
    origin = run["config"]["confirms"]
    swept = [one for one in chain.runs(sweep=chain.sweep) if one["config"]["max_lr"] == run["config"]["max_lr"]]
    observed = [one["summary"]["val/accuracy"] for one in swept]
    assert origin["runs"] == len(observed) == 2
    assert origin["observed"] == pytest.approx(sum(observed) / 2)
    assert isinstance(origin["claimed"], float)


def test_what_cannot_be_confirmed_is_one_line(chain: Chain) -> None:
    for arguments, line in (
        (["nosuch"], r"there is no sweep mnist-sweep/nosuch on .*"),
        ([chain.sweep, "--c1=2"], rf"c1 beside {chain.sweep}: confirm takes either a sweep or fields"),
    ):
        done = chain.house.run("mnist-sweep", "confirm", *arguments, check=False)
        assert done.returncode == 1
        assert re.fullmatch(rf"error: {line}\n", done.stderr), done.stderr


def test_page_report_and_terminal_tell_the_number_that_counts_first(chain: Chain, open_page: Opener) -> None:
    """After the tests above: the finals' winner has two seeds."""
    said = chain.house.run("mnist-sweep", "report", chain.sweep, "--html=page.html", env={"COLUMNS": "400"}).stdout
    accuracies = [
        run["summary"]["test/accuracy"] for run in chain.runs(**{"config.confirms.value.chosen_by": "finals"})
    ]
    headline = re.search(r"• Confirmed: (\S+ % ± \S+) test/accuracy, the mean of 2 seeds", said)
    assert headline, said
    assert headline[1].startswith(f"{100 * sum(accuracies) / 2:.2f} %")
    assert said.index("Confirmed: ") < said.index("The finals claimed ") < said.index("Ranking")
    report = re.search(r"^Report:  (\S+)", said, re.MULTILINE)
    assert report
    url = chain.house.env["WANDB_BASE_URL"]
    pages = (f"{url}/local/mnist-sweep/sweeps/{chain.sweep}", (chain.house.home / "page.html").as_uri())
    for address in pages:
        page = open_page(address)
        expect(page.locator("#result .result b")).to_have_text(headline[1])
        expect(page.locator("#result .steps li")).to_have_count(4)
        expect(page.locator("#result tbody tr")).to_have_count(2)
        page.set_viewport_size({"width": 420, "height": 900})
        page.wait_for_function("document.documentElement.scrollWidth <= 420")  # charts follow once they are drawn
    again = page.locator("#reproduce pre")
    expect(again.nth(1)).to_have_text(f"mnist-sweep finals local/mnist-sweep/{chain.sweep}")
    expect(again.nth(2)).to_have_text(f"mnist-sweep confirm local/mnist-sweep/finals-{chain.sweep} --seeds=20")
    written = open_page(report[1])
    expect(written.locator("h2").first).to_have_text("Result")
    expect(written.locator("h2").nth(1)).to_have_text(f"{headline[1]} test/accuracy")
