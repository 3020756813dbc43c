import json

from mnist_sweep.review.page import as_json
from mnist_sweep.review.page_data import run_payload, sweep_payload
from mnist_sweep.review.ranking import rank
from mnist_sweep.review.records import RunRecord, SweepInfo
from mnist_sweep.review.review import build_review
from mnist_sweep.search.goal import Goal
from tests.review import synthetic


def test_an_empty_sweep_has_no_figures_and_says_so() -> None:
    data = sweep_payload(build_review(rank(synthetic.info(), [])))
    assert data["findings"] == ["No run has reported val/accuracy yet. 0 trials: none."]
    assert data["figures"] == {}
    assert not data["table"]["rows"]


def test_a_sweep_of_anybody_has_only_what_its_runs_have() -> None:
    """One value a run, a loss, nested fields: no size, no curves, no mistakes, no share."""
    info = SweepInfo(id="s", metric="loss", goal=Goal.MINIMIZE, method="random")
    runs = [RunRecord(id=f"r{i}", summary={"loss": 0.1 * i}, config={"tree.depth": i}) for i in range(5)]
    data = sweep_payload(build_review(rank(info, runs)))
    assert set(data["figures"]) == {"best"}
    assert data["mistakes"] == {}
    assert [tile["label"] for tile in data["stats"]] == ["best loss", "trials", "total compute time", "search", "state"]
    assert "parameters" not in json.dumps(data).lower()
    assert "epoch" not in json.dumps(data)


def test_every_run_with_a_history_sends_its_points_once() -> None:
    data = sweep_payload(synthetic.reviewed(40))
    assert set(data["curves"]) == {record.id for record in synthetic.sweep(40) if record.history}
    assert all("x" not in trace for trace in data["figures"]["curves"]["data"])
    json.loads(as_json(data))


def test_a_run_without_a_sweep_has_no_metric_tile_and_its_curves_over_what_it_defined() -> None:
    rows = [{"_step": i, "_runtime": 2.0 * i, "loss": 1.0 / (i + 1), "epoch": i // 3} for i in range(9)]
    ranking = rank(SweepInfo(id=""), [RunRecord(id="r", history=rows, step_metrics={"loss": "epoch"})])
    data = run_payload(ranking.trials[0], ranking)
    assert [tile["label"] for tile in data["stats"]] == []
    assert data["figures"]["run"]["data"][0]["meta"] == {"runs": ["r"], "x": "epoch", "column": "loss"}
    assert data["axes"] == {"epoch": "epoch", "_step": "step", "_runtime": "seconds"}
