"""The local server's page of a project, of anybody's, in a real browser with real runs behind it."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser import Opener, draw_everything
from tests.local_server import Served

ANYBODY = """
import json, wandb
with wandb.init(project="anybody", group="first try") as run:
    run.log({"loss": 1.0})
    model = wandb.Artifact("net", "model", metadata={"layers": 3})
    with model.new_file("weights.txt") as file:
        file.write("weights")
    run.log_artifact(model).wait()
with wandb.init(project="anybody") as other:
    other.use_artifact("net:latest")
sweep = wandb.sweep({"method": "grid", "metric": {"name": "loss", "goal": "maximize"},
                     "parameters": {"k": {"values": [1, 2]}, "half": {"values": [1, 2]}}}, project="anybody")
losses = iter([1.0, 5.0, 9.0, 7.0])
def train():
    with wandb.init() as trial:
        loss = next(losses)
        for epoch in range(3):
            trial.log({"loss": loss, "epoch": epoch})
        trial.config.update({"epochs": 3})
        trial.summary.update({5.0: {}, 7.0: {"diverged": True}, 9.0: {"constraint/size": 1}}.get(loss, {}))
        if loss == 1.0:
            trial.tags = ["baseline"]
from wandb.agents import pyagent
pyagent.Agent.HEARTBEAT_SLEEP_SECONDS = 0.2
wandb.agent(sweep, function=train, count=4, project="anybody")
api = wandb.Api()
public = api.sweep(f"local/anybody/{sweep}")
print(json.dumps({
    "project": api.project("anybody", "local").url, "artifact": api.artifact("local/anybody/net:v0").url,
    "names": [run.name, other.name, *(one.name for one in public.runs)],
    "sweep": sweep,
}))
"""


@pytest.fixture(scope="module")
def anybody(served: Served) -> dict[str, Any]:
    """A project that is not this one: a group, an artifact, and a sweep whose epochs count from 0."""
    said: dict[str, Any] = json.loads(served.python(ANYBODY, timeout=240).splitlines()[-1])
    return said


def test_addresses_that_the_client_prints_lead_to_pages(
    served: Served, anybody: dict[str, Any], open_page: Opener
) -> None:
    page = open_page(anybody["artifact"])
    expect(page.locator("h1")).to_have_text("net:v0")
    expect(page.locator("main")).to_contain_text("latest")
    for name in anybody["names"][:2]:  # who logged it, and who used it
        expect(page.get_by_role("link", name=name)).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="weights.txt").click()
    assert download.value.path().read_text() == "weights"
    page.goto(anybody["project"])
    expect(page.locator("h1")).to_have_text("anybody")
    page.goto(f"{served.url}/local/anybody/groups/first%20try")
    expect(page.locator("h1")).to_have_text("anybody / first try")
    expect(page.get_by_role("link", name=anybody["names"][0])).to_be_visible()
    assert page.get_by_role("link", name=anybody["names"][1]).count() == 0


def test_runs_without_a_name_get_one_that_can_be_said(anybody: dict[str, Any]) -> None:
    plain, trials = anybody["names"][:2], anybody["names"][2:]
    assert all(re.fullmatch(r"[a-z]+-[a-z]+-\d+", name) for name in anybody["names"])
    assert all("-sweep-" in name for name in trials)
    assert not any("-sweep-" in name for name in plain)


def test_the_project_page_crowns_only_what_the_sweep_page_ranks(
    served: Served, anybody: dict[str, Any], open_page: Opener
) -> None:
    """Not the baseline, the infeasible or the diverged one, though all three are there; and epochs count from 0."""
    page = open_page(f"{served.url}/local/anybody")
    expect(page.locator("#sweeps tbody tr")).to_contain_text("5")
    page.goto(f"{served.url}/local/anybody/sweeps/{anybody['sweep']}")
    expect(page.locator(".tile-value").first).to_have_text("5.000")
    statuses = page.locator("[data-table] tbody td.status").all_inner_texts()
    assert sorted(statuses) == ["baseline", "diverged", "finished", "infeasible"]
    draw_everything(page)
    assert "parameters" not in page.locator(".tiles, [data-table]").first.inner_text()


TRACES = "(metric) => (document.querySelector(`.chart[data-metric='${metric}']`)?.data || []).map((t) => t.name)"


def test_the_project_page_is_a_workspace_kept_in_its_address(
    served: Served, anybody: dict[str, Any], open_page: Opener
) -> None:
    page = open_page(f"{served.url}/local/anybody")
    chart = page.locator(".chart[data-metric=loss]")
    expect(chart.locator(".main-svg").first).to_be_visible()
    expect(page.locator("[data-table] tbody tr")).to_have_count(6)
    shown = page.evaluate(TRACES, "loss")
    assert sorted(shown) == sorted([anybody["names"][0], *anybody["names"][2:]])  # the second run logged nothing
    assert page.locator(".chart[data-metric='constraint/size']").count() == 0

    page.get_by_role("searchbox").fill("sweep")
    expect(page.locator("[data-table] tbody tr")).to_have_count(4)
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("time", exact=True).uncheck()
    page.get_by_label("Group by").select_option("config:k")
    page.get_by_label("Logarithmic").select_option("y")
    page.get_by_label("X axis").select_option("_runtime")
    address = page.url
    for part in ("q=sweep", "by=config%3Ak", "log=y", "x=_runtime"):
        assert part in address

    again = open_page(address)
    expect(again.locator("[data-table] tbody tr")).to_have_count(4)
    expect(again.locator(".chart[data-metric=loss] .main-svg").first).to_be_visible()
    assert again.get_by_label("Group by").input_value() == "config:k"
    groups = [name for name in again.evaluate(TRACES, "loss") if name]
    assert sorted(int(name.split("(")[1].rstrip(")")) for name in groups) == [2, 2]
    with again.expect_download() as download:
        again.get_by_role("button", name="CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == 5
    assert "loss" in lines[0].split(",")
    assert "time" not in lines[0].split(",")

    again.get_by_label("Group by").select_option("")
    again.locator("[data-table] tbody input").first.check()
    expect(again.locator("[data-table] tbody input:checked")).to_have_count(1)
    expect(again.locator(".chart[data-metric=loss] .scatterlayer .trace")).to_have_count(1)
    assert "runs=" in again.url


GROWING = """
import sys, time, wandb
from pathlib import Path
with wandb.init(project="growing", id=sys.argv[1], settings=wandb.Settings(x_file_stream_transmit_interval=0.2)) as run:
    run.log({"loss": 3.0})
    run.log({"loss": 2.0})
    deadline = time.monotonic() + 300
    while not Path("grow").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    run.log({"loss": 1.0, "late/metric": 1})
    run.log({"late/metric": 2})
"""
LENGTHS = "() => document.querySelector(`.chart[data-metric=loss]`).data?.map((t) => t.y.length)"


def test_an_open_project_page_follows_its_runs(served: Served, open_page: Opener) -> None:
    (served.folder / "grow").unlink(missing_ok=True)
    code = "import wandb\nwith wandb.init(project='growing', id='done') as run:\n    "
    served.python(code + "run.log({'loss': 5.0}); run.log({'loss': 4.0})")
    page = open_page(f"{served.url}/local/growing?by=&status=")
    expect(page.locator("[data-table] tbody tr")).to_have_count(1)
    asked: list[str] = []
    page.on("response", lambda r: asked.append(r.text()) if "/curves?" in r.url and "since=0" not in r.url else None)
    process = subprocess.Popen([sys.executable, "-c", GROWING, "grows"], env=served.env, cwd=served.folder)
    try:
        row = page.locator("[data-table] tbody tr[data-id=grows]")
        expect(row).to_contain_text("running")
        chart = page.locator(".chart[data-metric=loss]")
        expect(chart.locator(".scatterlayer .trace")).to_have_count(2)
        (served.folder / "grow").touch()
        expect(page.locator(".chart[data-metric='late/metric'] .main-svg").first).to_be_visible()
        expect(row).to_contain_text("finished")
    finally:
        process.wait(240)
    assert sorted(page.evaluate(LENGTHS)) == [2, 3]
    assert asked
    assert not any('"done"' in text for text in asked)  # what has not changed is not sent again
