"""Reading and reporting a real sweep on a real local server, through the unmodified client."""

from __future__ import annotations

import json

from tests.review.conftest import Served

LOAD = """
import json, wandb
from mnist_sweep.review.api import load
info, records = load(wandb.Api().sweep({path!r}))
print(json.dumps({{
    "info": [info.title, info.method, info.metric, info.goal, [f.name for f in info.fields], info.url],
    "runs": [[r.name, r.state, r.config, dict(r.summary).get("val/accuracy"), [dict(row) for row in r.history],
              r.agent, r.url, r.seconds is not None, bool(r.created_at and r.finished_at),
              r.confusion and [r.confusion.labels, r.confusion.counts],
              [[m.index, m.label, m.prediction, m.confidence, m.png[:4].hex()] for m in r.mistakes]] for r in records],
}}))
"""


def test_a_sweep_read_through_the_public_api(served: Served, sweep_path: str) -> None:
    said = json.loads(served.python(LOAD.format(path=sweep_path)))
    url = f"{served.url}/local/review/sweeps/{sweep_path.split('/')[-1]}"
    assert said["info"] == ["A tiny sweep", "random", "val/accuracy", "maximize", ["c1", "max_lr"], url]
    names = [run[0] for run in said["runs"]]
    assert names == ["<script>document.title='broken'</script>", "good", "refused", "plain"]
    first, refused = said["runs"][0], said["runs"][2]
    _, state, config, value, history, agent, address, timed, dated, confusion, mistakes = first
    assert state == "finished"
    assert config["epochs"] == 3
    assert abs(value - 0.99) < 1e-9
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert agent
    assert address.startswith(f"{served.url}/local/review/runs/")
    assert timed
    assert dated
    assert confusion[0] == [str(digit) for digit in range(10)]
    assert confusion[1][3][3] == 50
    png = b"\x89PNG".hex()
    assert mistakes == [[9, "4", "9", 0.97, png], [7, "3", "5", 0.9, png]]  # the surest first
    assert refused[3] is None
    assert refused[9] is None


REPORT = """
import json, wandb
from dataclasses import replace
import wandb_workspaces.reports.v2 as wr
from mnist_sweep.review.api import load
from mnist_sweep.review.wandb_report import publish
api = wandb.Api()
info, records = load(api.sweep({path!r}), media=0)
first = publish(info, records, question="Does it work?", commands=["mnist-sweep train --max_lr 0.1"])
second = publish(info, records, evaluated_on=5000)
other = publish(replace(info, id="other"), records)
kept = [r for r in wandb.Api().reports("local/review")]
report = wr.Report.from_url(second)
print(json.dumps({{
    "urls": [first, second, other],
    "kept": [[r.display_name, r.description] for r in kept],
    "title": report.title,
    "spec": json.loads(report._to_model().spec.model_dump_json(by_alias=True, exclude_none=True)),
}}))
"""


def test_the_report_is_stored_replaced_and_read_back(served: Served, sweep_path: str) -> None:
    said = json.loads(served.python(REPORT.format(path=sweep_path)).splitlines()[-1])
    first, second, other = said["urls"]
    assert first == second  # made again, it keeps its address
    assert other != second
    assert len(said["kept"]) == 2
    assert said["title"] == "Review of A tiny sweep"
    text = json.dumps(said["spec"])
    for words in ("Question", "Protocol", "Findings", "Reproduce", "The best run is", "99.00 %", "standard error"):
        assert words in text
    assert "Does it work?" not in text  # that was the older version
    views = {panel["viewType"] for block in said["spec"]["blocks"] for panel in panels(block)}
    wanted = {
        "Parallel Coordinates Plot",
        "Parameter Importance",
        "Scatter Plot",
        "Run History Line Plot",
        "Run Comparer",
    }
    assert wanted <= views
    assert "Media Browser" in views


def panels(block: dict[str, object]) -> list[dict[str, str]]:
    metadata = block.get("metadata")
    if not isinstance(metadata, dict):
        return []
    found = metadata["panelBankSectionConfig"]["panels"]
    assert isinstance(found, list)
    return found
