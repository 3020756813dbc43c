"""Invented runs of finals and of a confirmation. A real chain is in tests/e2e/test_chain.py."""

from typing import Any

from mnist_sweep.review.records import RunRecord, SweepInfo

INFO = SweepInfo(id="abc", metric="objective", goal="minimize", url="https://host/e/p/sweeps/abc")
ABOUT = {"finals.sweep": "abc", "finals.metric": "objective", "finals.claim": "val/accuracy"}
ROWS: list[dict[str, Any]] = [
    {"name": "w=1", "parameters": 900, "replicates": 6, "value": 0.017, "accuracy": 0.9955, "finalist": True},
    {"name": "w=2", "replicates": 6, "value": 0.0173, "finalist": True},
    {"name": "w=8", "replicates": 6, "value": 0.022, "finalist": True, "reference": True},
    {"name": "w=3", "replicates": 3, "value": 0.018},
]
ROWS[0]["to_next"] = {"difference": -0.0003, "half": 0.00052, "count": 6, "tie": True}
ROWS[0]["to_reference"] = {"difference": -0.005, "half": 0.001, "count": 6, "tie": False}
FINALS = RunRecord(id="finals-abc", config=ABOUT, summary={"complete": True, "round": 4, "rounds": 4, "standing": ROWS})
SEEDS = (0.9953, 0.9957, 0.9949)


def seed(value: float | None, group: str = "confirm-finals-abc-1", **config: Any) -> RunRecord:
    about = {"sweep": "abc", "chosen_by": "finals", "configuration": "w=1", "metric": "test/accuracy"}
    about |= {"claim": "val/accuracy", "claimed": 0.9955, "observed": 0.9955, "runs": 6} | config
    summary: dict[str, Any] = {"diverged": True} if value is None else {"test/accuracy": value, "complete": True}
    return RunRecord(
        id="r", group=group, config={f"confirms.{key}": one for key, one in about.items()}, summary=summary
    )


CONFIRMED = [seed(value) for value in SEEDS]
