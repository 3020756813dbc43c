from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

from mnist_sweep.review.findings import findings, standard_error
from mnist_sweep.review.importance import importance
from mnist_sweep.review.page import DigitRow, html_page, payload, plotly_bundle, script_json
from mnist_sweep.review.records import RunRecord, SweepInfo
from mnist_sweep.review.table import runs_table
from tests.review import synthetic

INFO = synthetic.info()
RUNS = synthetic.sweep(40)


class Addresses(HTMLParser):
    """Everything a browser would fetch by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [
            value or "" for name, value in attributes if name in ("src", "srcset") or (name, tag) == ("href", "link")
        ]


def test_the_page_is_one_file_that_fetches_nothing() -> None:
    page = html_page(INFO, RUNS, digits=[DigitRow("strength 0", [synthetic.png()])])
    without_plotly = page.replace(plotly_bundle().read_text("utf-8"), "")
    assert len(without_plotly) < len(page) - 3_000_000
    seen = Addresses()
    seen.feed(without_plotly)
    assert seen.found == []
    assert re.search(r"default-src 'none'", page)


def test_whatever_a_run_says_cannot_leave_its_script_element() -> None:
    evil = "</script><script>alert(1)</script><!--\u2028"
    text = script_json({"name": evil, "value": float("nan"), "deep": [float("inf"), {"a": 1.5}]})
    assert not re.search("[<>&\u2028]", text)
    assert json.loads(text) == {"name": evil, "value": None, "deep": [None, {"a": 1.5}]}
    page = html_page(replace(INFO, name=evil), [replace(run, name=evil) for run in RUNS], footer=evil, commands=[evil])
    assert "alert(1)</script>" not in page


def test_the_payload_of_an_empty_sweep_has_no_figures_and_says_so() -> None:
    data = payload(INFO, [])
    assert data["findings"] == ["No run has reported val/accuracy yet. 0 trials: none."]
    assert set(data["figures"]) <= {"best"}
    assert data["table"]["rows"] == []


def test_ranked_rows_come_first_and_the_others_say_why_not() -> None:
    table = runs_table(RUNS, INFO)
    ranks = [row.get("rank") for row in table.rows]
    ranked = [rank for rank in ranks if rank]
    assert ranked == list(range(1, len(ranked) + 1))
    assert ranks[len(ranked) :] == [None] * (len(RUNS) - len(ranked))
    assert all(row.get("reason") for row in table.rows if row["status"] not in ("ok", "running"))
    shown = [column.label for column in table.columns if column.shown]
    assert shown[:8] == ["rank", "run", "status", "val/accuracy", "best epoch's", "at epoch", "parameters", "time"]
    assert {"max_lr", "dropout", "c1"} <= set(shown)
    assert "model" not in shown


def test_findings_take_their_numbers_from_the_runs() -> None:
    def run(name: str, value: float, parameters: int, epoch: int = 15, state: str = "finished") -> RunRecord:
        summary = {"val/accuracy": value, "parameters": parameters, "epoch": epoch}
        return RunRecord(name, name, state, summary=summary, config={"epochs": 15})

    runs = [run("first", 0.992, 8000), run("second", 0.9915, 5000), run("third", 0.95, 9000)]
    runs.append(run("cut", 0.9, 7000, epoch=5, state="killed"))
    random = [RunRecord(f"r{i}", summary={"val/accuracy": 0.98 + 0.001 * i}) for i in range(5)]
    info = SweepInfo(id="s", metric="val/accuracy")
    said = findings(runs, info, importance(runs, info), baseline=random, evaluated_on=5000)
    assert said[0] == "The best run is first: 99.20 % val/accuracy with 8,000 parameters."
    assert said[1].startswith(
        "One accuracy on 5,000 images has a standard error of 0.13 points; from the best, 1 of 2 others"
    )
    assert said[2] == "4 trials: 3 ranked, 1 stopped early."
    assert "front of accuracy against size has 2 runs, from 99.15 % with 5,000" in said[3]
    assert said[4].startswith("With 3 ranked trials random search reaches 98.40 %")
    assert said[5] == "Stopping early saved 17% of the epochs asked for (50 of 60 were trained)."
    assert abs(standard_error(0.992, 5000) - 0.00126) < 1e-5
