"""A run in several segments, sent as `wandb sync` of a client before 0.31 sends them, and forks."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from tests.server.conftest import Ask

UPSERT = """mutation($name: String, $id: String, $config: JSONString) {
    upsertBucket(input: {id: $id, name: $name, modelName: "p", config: $config}) {
        bucket { id historyLineCount } inserted } }"""
LOOK = """query($name: String!) { project(name: "p") { run(name: $name) { history config summaryMetrics historyLineCount
    logLines(first: 100) { edges { node { line } } } } } }"""
A, B, C = range(3), range(3, 6), range(6, 9)


class Client:
    """Says what the client says."""

    def __init__(self, http: httpx.Client, ask: Ask) -> None:
        self._http, self._ask = http, ask

    def log(self, steps: Sequence[int], *, name: str = "r", time: float = 0, **wandb: Any) -> None:
        """A segment from its beginning to its end, recorded at `time` seconds, with values like its steps."""
        entry = {"cli_version": "0.28.2", **wandb}
        config = {f"c{steps[0]}": {"value": 1}, "_wandb": {"value": entry}}
        begun = self._ask(UPSERT, name=name, config=json.dumps(config))["upsertBucket"]["bucket"]
        offset = begun["historyLineCount"]  # what the client counts its rows from
        self._send(name, {"output.log": (0, [f"begun {steps[0]}"])})
        config["_wandb"]["value"]["e"] = {"w": {"os": "Linux"}}
        self._ask(UPSERT, name=name, config=json.dumps(config))
        rows = [json.dumps({"_step": step, "_timestamp": time + step, "v": step + time}) for step in steps]
        self._send(name, {"wandb-history.jsonl": (offset, rows[:1])})
        summary = json.dumps({f"s{steps[0]}": 1, "_step": steps[-1], "v": steps[-1] + time})
        files = {
            "wandb-history.jsonl": (offset + 1, rows[1:]),
            "output.log": (1, [f"ended {steps[0]}"]),
            "wandb-summary.json": (0, [summary]),
        }
        self._send(name, files, complete=True, exitcode=0)

    def _send(self, name: str, files: dict[str, tuple[int, list[str]]], **more: Any) -> None:
        chunks = {file: {"offset": offset, "content": content} for file, (offset, content) in files.items()}
        answer = self._http.post(f"/files/local/p/{name}/file_stream", json={"files": chunks, **more})
        assert answer.status_code == 200, answer.text

    def read(self, name: str = "r") -> dict[str, Any]:
        run = self._ask(LOOK, name=name)["project"]["run"]
        rows = [json.loads(row) for row in run["history"]]
        assert run["historyLineCount"] == len(rows)
        return {
            "steps": [row["_step"] for row in rows],
            "values": [row["v"] for row in rows],
            "config": sorted(json.loads(run["config"]).keys() - {"_wandb"}),
            "summary": json.loads(run["summaryMetrics"]),
            "console": [edge["node"]["line"] for edge in run["logLines"]["edges"]],
        }


@pytest.fixture
def wandb(client: httpx.Client, ask: Ask) -> Client:
    return Client(client, ask)


@pytest.mark.parametrize(
    "order",
    [[A, B, C], [C, B, A], [A, C, B], [A, B, C, B], [A, B, C, A], [A, B, C, A, B, C]],
    ids=["in order", "backwards", "the middle last", "the middle again", "the first again", "all again"],
)
def test_all_rows_of_a_run_that_was_resumed_arrive(wandb: Client, order: list[range]) -> None:
    for steps in order:
        wandb.log(steps)
    run = wandb.read()
    assert run["steps"] == run["values"] == list(range(9))
    assert run["config"] == ["c0", "c3", "c6"]
    assert run["summary"] == {"s0": 1, "s3": 1, "s6": 1, "_step": 8, "v": 8}
    assert sorted(run["console"]) == sorted(f"{what} {steps[0]}" for steps in (A, B, C) for what in ("begun", "ended"))


def test_a_run_that_is_started_again_begins_anew(wandb: Client) -> None:
    wandb.log(A)
    wandb.log(B)
    wandb.log(range(2), time=100)
    assert wandb.read() == {
        "steps": [0, 1],
        "values": [100, 101],
        "config": ["c0"],
        "summary": {"s0": 1, "_step": 1, "v": 101},
        "console": ["begun 0", "ended 0"],
    }


@pytest.mark.parametrize("clock", [100, 1, -1, -100])
def test_a_run_that_starts_over_keeps_no_old_rows_whatever_its_clock_says(wandb: Client, clock: float) -> None:
    wandb.log(range(6), time=1000)
    wandb.log(range(3), time=1000 + clock)
    assert wandb.read()["values"] == [1000 + clock + step for step in range(3)]


@pytest.mark.parametrize("parent_first", [True, False])
def test_a_fork_has_its_parents_rows_up_to_the_step(wandb: Client, parent_first: bool) -> None:
    def fork(time: float = 100) -> None:
        wandb.log(range(5, 8), name="child", time=time, branch_point={"run_id": "r", "step": 4})

    if not parent_first:
        fork()
        assert wandb.read("child")["steps"] == [5, 6, 7]
    for steps in (A, B, C):
        wandb.log(steps)
    if parent_first:
        fork()
    for time in (100, 100, 200):  # sent again, and begun anew
        run = wandb.read("child")
        assert run["steps"] == list(range(8))
        assert run["console"] == ["begun 5", "ended 5"]
        fork(time)
    assert wandb.read("child")["values"] == [0, 1, 2, 3, 4, 205, 206, 207]
    assert wandb.read()["steps"] == list(range(9))


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("order", [[A, B, C], [C, B, A], [B, A, C]], ids=["in order", "backwards", "the middle first"])
def test_a_fork_comes_between_its_parents_segments(wandb: Client, order: list[range], place: int) -> None:
    """Newer clients sync several folders side by side: what is here of the parent may be its end alone."""
    for number, steps in enumerate([*order, None]):
        if number == place:
            wandb.log(range(5, 8), name="child", time=100, branch_point={"run_id": "r", "step": 4})
        if steps:
            wandb.log(steps)
    child = wandb.read("child")
    assert child["values"] == [0, 1, 2, 3, 4, 105, 106, 107]
    assert child["console"] == ["begun 5", "ended 5"]


@pytest.mark.parametrize("order", list(itertools.permutations(["begun", "resumed", "parent"])), ids="-".join)
def test_a_fork_that_was_resumed_has_its_parents_rows(wandb: Client, ask: Ask, order: tuple[str, ...]) -> None:
    """A client that resumes it does not say again where it branched off."""
    for part in order:
        if part == "parent":
            wandb.log(range(9))
        elif part == "begun":
            wandb.log(range(5, 8), name="child", time=100, branch_point={"run_id": "r", "step": 4})
        else:
            wandb.log([8], name="child", time=100)
    assert wandb.read("child")["values"] == [0, 1, 2, 3, 4, 105, 106, 107, 108]
    ask("""mutation { rewindRun(input: {runName: "child", projectName: "p", metricName: "_step", metricValue: 2}) {
        rewoundRun { id } } }""")
    wandb.log(range(9, 11))
    assert wandb.read("child")["values"] == [0, 1, 2]


def test_a_fork_from_a_step_beyond_all_numbers_has_all_rows(wandb: Client) -> None:
    wandb.log(A)
    wandb.log([5], name="child", time=100, branch_point={"run_id": "r", "step": 1e300})
    assert wandb.read("child")["values"] == [0, 1, 2, 105]


def test_a_fork_that_was_rewound_behind_its_branch_gets_no_more_of_its_parent(wandb: Client, ask: Ask) -> None:
    wandb.log(range(6))
    wandb.log(range(5, 8), name="child", time=100, branch_point={"run_id": "r", "step": 4})
    ask("""mutation { rewindRun(input: {runName: "child", projectName: "p", metricName: "_step", metricValue: 2}) {
        rewoundRun { id } } }""")
    wandb.log(range(6, 8))
    assert wandb.read("child")["values"] == [0, 1, 2]


def test_a_fork_of_a_fork_waits_for_both(wandb: Client) -> None:
    wandb.log([7, 8], name="grandchild", time=200, branch_point={"run_id": "child", "step": 6})
    wandb.log([5, 6, 7], name="child", time=100, branch_point={"run_id": "r", "step": 4})
    wandb.log(range(9))
    assert wandb.read("grandchild")["values"] == [0, 1, 2, 3, 4, 105, 106, 207, 208]


def test_a_rewound_run_keeps_its_rows_up_to_the_step_and_its_console(
    wandb: Client, ask: Ask, client: httpx.Client
) -> None:
    wandb.log(range(6))
    rewind = """mutation { rewindRun(input: {runName: "r", projectName: "p", metricName: "_step", metricValue: 2}) {
        rewoundRun { id historyLineCount } } }"""
    rewound = ask(rewind)["rewindRun"]["rewoundRun"]
    assert rewound["historyLineCount"] == 3
    ask(UPSERT, name="r", id=rewound["id"], config=json.dumps({"_wandb": {"value": {}}}))
    wandb._send("r", {"wandb-history.jsonl": (3, ['{"_step": 3, "v": 30}']), "output.log": (0, ["once more"])})
    run = wandb.read()
    assert run["values"] == [0, 1, 2, 30]
    assert run["console"] == ["begun 0", "ended 0", "once more"]
