"""W&B's filters and orders over real rows."""

import json
from typing import Any

import pytest

from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.store import Store, filters, projects, runs
from mnist_sweep.server.store.rows import Run

RUNS: dict[str, dict[str, Any]] = {
    "a": {
        "state": "finished",
        "summary": {"loss": 0.5, "val/acc": 0.9, 'a "quoted" key': 2, "best": {"min": 0.1, "max": 0.7}, "val.f1": 1},
        "config": {"lr": {"value": 0.1}, 'say "hi"': {"value": True}},
        "tags": ["x"],
    },
    "b": {
        "state": "running",
        "summary": {"loss": 0.2, 'a "quoted" key': 3, "best": 0.2, "val": {"f1": {"max": 0.5}}},
        "config": {"lr": {"value": 1}, "n": {"value": {"m": 2}}, 'say "hi"': {"value": {"there": "x"}}},
    },
    "c": {
        "state": "crashed",
        "summary": {"loss": "NaN", "deep": {"er": 3}, "best": {"last": 9}},
        "display_name": "shown",
        "tags": ["x", "y"],
    },
}


def names(store: Store, condition: object, order: str | None = "+name") -> list[str]:
    with store.write() as db:
        project = projects.ensure(db, "local", "p").id
        for name, fields in RUNS.items():
            if Run.find(db, project, name) is None:
                runs.create(db, project, name, **fields)
        text = condition if isinstance(condition, str) else json.dumps(condition)
        rows, total = runs.search(db, text, order, 0, 50, project_id=project)
    assert total == len(rows)
    return [row.name for row in rows]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ({}, "abc"),
        ("", "abc"),
        ({"state": "finished"}, "a"),
        ({"state": {"$ne": "finished"}}, "bc"),
        ({"state": {"$in": ["running", "crashed"]}}, "bc"),
        ({"state": {"$nin": ["running", "crashed"]}}, "a"),
        ({"summary_metrics.loss": {"$lt": 0.3}}, "b"),
        ({"summary_metrics.loss": {"$gte": 0.2, "$lte": 0.5}}, "ab"),
        ({"summary_metrics.val/acc": 0.9}, "a"),
        ({"summary_metrics.deep.er": 3}, "c"),
        ({"summary_metrics.val/acc": {"$exists": False}}, "bc"),
        ({"config.lr": {"$gt": 0.5}}, "b"),
        ({"config.lr.value": 0.1}, "a"),
        ({"config.n.m": 2}, "b"),
        ({"displayName": "shown"}, "c"),
        ({"display_name": {"$regex": "^sh.*n$"}}, "c"),
        ({"tags": "x"}, "ac"),
        ({"tags": {"$in": ["y"]}}, "c"),
        ({"tags": {"$nin": ["y"]}}, "ab"),
        ({"$and": [{"tags": "x"}, {"state": "crashed"}]}, "c"),
        ({"$or": [{"tags": "y"}, {"state": "running"}]}, "bc"),
        ({"$nor": [{"tags": "y"}, {"state": "running"}]}, "a"),
        ({"$not": {"state": "running"}}, "ac"),
        ({"state": {"$not": {"$eq": "running"}}}, "ac"),
        ({"$or": []}, ""),
        ({'summary_metrics.a "quoted" key': {"$lt": 3}}, "a"),
        ({'summary_metrics.a "quoted" key': 3}, "b"),
        ({'config.say "hi"': True}, "a"),
        ({'config.say "hi".there': "x"}, "b"),
        ({"summary_metrics.best": {"$lt": 0.3}}, "ab"),  # define_metric's summaries, and nested
        ({"summary_metrics.best": {"$gt": 0.5}}, "ac"),
        ({"summary_metrics.val.f1": {"$exists": True}}, "ab"),
        ({"summary_metrics.loss": {"$lt": 2**70}}, "ab"),
        ({"summary_metrics.loss": 10**400}, ""),
    ],
)
def test_a_filter_finds_what_it_says(store: Store, condition: object, found: str) -> None:
    assert "".join(names(store, condition)) == found


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("+summary_metrics.loss", "bac"),
        ("-summary_metrics.loss", "abc"),
        ("-name", "cba"),
        ("state,-name", "cab"),
        ("-created_at", "cba"),
        (None, "cba"),
    ],
)
def test_an_order_puts_what_is_no_number_last(store: Store, order: str | None, found: str) -> None:
    assert "".join(names(store, {}, order)) == found


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ([], "JSON object"),
        ("{", "not JSON"),
        ({"nothing": 1}, "no field 'nothing'"),
        ({"state": {"$what": 1}}, "no operator"),
        ({"$what": []}, "no operator"),
        ({"$and": {}}, "takes a list"),
        ({"state": {"$in": "running"}}, "takes a list"),
        ({"state": {"$eq": []}}, "compares with"),
        ({"name": {"$regex": "("}}, "missing"),
        ({"name": {"$regex": "\ud800"}}, "regex"),
        ({"name": {"$regex": "(a{100}){100}"}}, "repetition"),
        ({"name": {"$regex": "x" * 1001}}, "1000 characters"),
        ({"name": {"$regex": 3}}, "regular expression"),
        ({"$or": [{"name": "x"}] * 501}, "501 values"),
        (json.loads('{"$not": ' * 30 + "{}" + "}" * 30), "nested"),
    ],
)
def test_what_is_no_filter_is_refused_with_a_reason(condition: object, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        filters.where(condition if isinstance(condition, str) else json.dumps(condition))


@pytest.mark.parametrize("pattern", ["a?" * 60 + "a" * 60, "(a*)*b", "(a|aa)+$", "(a|a|a)*c", "(.*a){20}"])
def test_no_expression_runs_away(store: Store, pattern: str) -> None:
    """Python's own `re` never answers these."""
    with store.write() as db:
        project = projects.ensure(db, "local", "p").id
        runs.create(db, project, "r", "running", display_name="a" * 60)
        conditions = json.dumps({"display_name": {"$regex": pattern}})
        found, _ = runs.search(db, conditions, None, 0, 10, project_id=project)
    assert len(found) == (pattern[-1] not in "bc")


@pytest.mark.parametrize("values", [(10.0, 9.0, 100), (0.5, 1e-05, 3)])
@pytest.mark.parametrize("metric", ["loss", "val.loss", "val/loss"])
@pytest.mark.parametrize("nested", [True, False])
def test_statistics_of_a_metric_are_ordered_as_numbers(
    store: Store, values: tuple[float, ...], metric: str, nested: bool
) -> None:
    """The client's `define_metric(name, summary="min")` puts an object where the metric's value was."""
    with store.write() as db:
        project = projects.ensure(db, "local", "statistics").id
        for number, value in enumerate(values):
            summary: dict[str, Any] = {metric: {"min": value, "max": -value}}
            if nested and "." in metric:
                summary = {"val": {"loss": summary[metric]}}
            runs.create(db, project, f"{number}", "finished", summary=summary)
        runs.create(db, project, "without", "finished", summary={})

        def order(text: str) -> list[float]:
            rows, _ = runs.search(db, None, text, 0, 50, project_id=project)
            assert rows[-1].name == "without"
            return [values[int(row.name)] for row in rows[:-1]]

        assert order(f"+summary_metrics.{metric}") == sorted(values)
        assert order(f"-summary_metrics.{metric}") == sorted(values), "of what is maximised the max counts"
        assert order(f"+summary_metrics.{metric}.min") == sorted(values)
