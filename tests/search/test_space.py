"""Reading a search space, and putting a point of it together."""

from mnist_sweep.search import parse
from mnist_sweep.search.space import read


def test_nested_parameters_come_back_nested_with_their_constants() -> None:
    schedule = {"parameters": {"name": {"value": "one"}}}
    optimiser = {"parameters": {"lr": {"min": 0.0, "max": 1.0}, "schedule": schedule}}
    note = {"value": {"kept": [1, None]}}
    space = read(
        parse({"method": "random", "parameters": {"optimiser": optimiser, "depth": {"values": [1, 2]}, "note": note}})
    )
    assert [p.path for p in space.parameters] == [("depth",), ("optimiser", "lr")]
    params = space.nest([2, 0.25])
    assert params == {
        "depth": 2,
        "note": {"kept": [1, None]},
        "optimiser": {"lr": 0.25, "schedule": {"name": "one"}},
    }
    assert space.identity(params) == ("2", "0.25")
    assert space.identity({"depth": 2}) is None
