from mnist_sweep.review import figures
from tests.review.figures.common import drawn, run_of


def test_a_run_is_drawn_over_the_step_metric_it_defined_else_over_its_steps() -> None:
    """Several rows an epoch gave zigzag lines over `epoch`."""
    rows = [{"_step": i, "epoch": i // 4, "loss": 1 / (i + 1), "val/loss": 2.0} for i in range(12)]
    plain = drawn(figures.run_curves(run_of(rows)))
    assert {trace["meta"]["x"] for trace in plain["data"]} == {"_step"}
    assert plain["data"][0]["x"] == [float(i) for i in range(12)]
    own = drawn(figures.run_curves(run_of(rows, step_metrics={"val/loss": "epoch"})))
    assert {trace["name"]: trace["meta"]["x"] for trace in own["data"]} == {"val/loss": "epoch", "loss": "_step"}
    points = figures.logged_points(run_of(rows))
    assert figures.axes(run_of(rows), points) == ["_step", "epoch"]  # no accuracy that happens to rise


def test_what_the_machine_measured_is_drawn_over_seconds_where_it_changed() -> None:
    rows = [{"_runtime": 2.0 * i, "system.cpu": 10.0 * i, "system.disk": 5.0, "system.gpu.0": None} for i in range(4)]
    figure = drawn(figures.system_curves(run_of(rows)))
    assert [(trace["name"], trace["x"]) for trace in figure["data"]] == [
        ("CPU of the process (%)", [0.0, 2.0, 4.0, 6.0])
    ]
    assert figures.system_curves(run_of([])) is None
