"""A report of a real sweep, stored on a real local server by the unmodified client, read back and made again."""

import json

from mnist_sweep.review.ranking import rank
from mnist_sweep.review.review import build_review
from mnist_sweep.review.wandb_report import build
from tests.local_server import Served
from tests.review import synthetic

REPORT = """
import json, wandb
from dataclasses import replace
import wandb_workspaces.reports.v2 as wr
from mnist_sweep.review import api
from mnist_sweep.review.ranking import rank
from mnist_sweep.review.review import build_review
from mnist_sweep.review.wandb_report import publish
ranking = api.ranking(wandb.Api().sweep({path!r}))
first = publish(replace(build_review(ranking), commands=("again --max_lr 0.1",)))
second = publish(build_review(ranking, samples=5000))
other = publish(build_review(rank(replace(ranking.info, id="other"), [trial.record for trial in ranking.trials])))
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
    assert "again --max_lr 0.1" not in text  # that was the older version
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


def test_a_long_name_of_a_sweep_is_cut_in_the_reports_title() -> None:
    found = build_review(rank(synthetic.info(name="n" * 130), synthetic.sweep(4)))
    assert build(found).title == f"Review of {'n' * 117}…"
