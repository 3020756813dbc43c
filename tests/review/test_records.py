from datetime import UTC, datetime, timedelta

from mnist_sweep.review.records import RunRecord, flat_rows, flatten, number, step_metrics


def test_time_is_the_clients_own_else_from_the_timestamps() -> None:
    start = datetime(2030, 1, 1, tzinfo=UTC)
    assert RunRecord(id="r", summary={"_runtime": 12.5}).seconds == 12.5
    assert RunRecord(id="r", created_at=start, finished_at=start + timedelta(seconds=7)).seconds == 7.0
    ended = start + timedelta(seconds=0.4)
    short = RunRecord(id="r", summary={"_wandb.runtime": 0}, created_at=start, finished_at=ended)
    assert short.seconds == 0.4  # the client counts whole seconds
    assert RunRecord(id="r").seconds is None


def test_only_finite_numbers_are_numbers() -> None:
    values = [1, 2.5, True, "NaN", float("nan"), float("inf"), None, {}]
    assert [number(value) for value in values] == [1.0, 2.5, *[None] * 6]


def test_nested_keys_become_dotted_and_media_stay_whole() -> None:
    table = {"_type": "table-file", "path": "media/t.json"}
    assert flatten({"a": {"b": {"c": 1}}, "t": table}) == {"a.b.c": 1, "t": table}


def test_step_metrics_are_read_from_what_the_client_leaves_and_nonsense_is_left_out() -> None:
    defined = [{"1": "epoch", "6": [3]}, {"1": "loss", "5": 1}, {"1": "lr"}, {"2": "val/*", "5": 1}]
    assert step_metrics(defined) == {"loss": "epoch", "val/*": "epoch"}
    assert step_metrics([{"1": "loss", "5": 7}, {"1": "acc", "5": "1"}, "x", None]) == {}
    assert step_metrics(None) == step_metrics({"1": "loss"}) == {}


def test_the_axis_of_a_metric_is_its_own_step_metric_then_that_of_a_pattern_else_the_step() -> None:
    run = RunRecord(id="r", step_metrics={"val/*": "epoch", "val/slow": "era", "*": "batch"})
    axes = [run.axis_of(key) for key in ("val/loss", "val/slow", "loss", "batch")]
    assert axes == ["epoch", "era", "batch", "_step"]
    assert RunRecord(id="r").axis_of("loss") == "_step"


def test_only_rows_with_nested_keys_are_flattened() -> None:
    rows = [{"loss": 1}, {"val": {"loss": 2}}]
    flat = flat_rows(rows)
    assert flat == [{"loss": 1}, {"val.loss": 2}]
    assert flat[0] is rows[0]
