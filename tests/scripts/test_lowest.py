"""The lowest versions that are allowed."""

from scripts.lowest import lowest


def test_only_lower_bounds_count() -> None:
    found = lowest(["anyio>=4.7", "optuna>=5.0,<6", "types-cachetools", "torch==2.6"])
    assert found == ["anyio==4.7", "optuna==5.0", "torch==2.6"]
