"""A sweep as its agents and its runs see it, spoken to in the client's own queries."""

import json
from typing import Any

import httpx
import yaml

from tests.server.conftest import Ask

CREATE = """
mutation UpsertSweep($config: String, $id: ID, $state: String, $priorRunsFilters: JSONString) {
  upsertSweep(input: {
    config: $config, id: $id, state: $state, projectName: "p", priorRunsFilters: $priorRunsFilters
  }) { sweep { id name state config } configValidationWarnings }
}"""
AGENT = (
    'mutation($sweep: String!) { createAgent(input: {host: "h", projectName: "p", sweep: $sweep}) { agent { id } } }'
)
BEAT = """mutation Heartbeat($id: ID!, $runState: JSONString) {
  agentHeartbeat(input: {id: $id, metrics: "{}", runState: $runState}) { agent { id } commands }
}"""
START = """mutation($name: String!, $sweep: String) {
  upsertBucket(input: {name: $name, modelName: "p", sweep: $sweep}) { bucket { id name sweepName } inserted }
}"""
LOOK = """query($sweep: String!) { project(name: "p") { sweep(sweepName: $sweep) {
  id state bestLoss runCount runCountExpected
  runs { edges { node { name state config stopReason exitcode stopped } } }
  agents { edges { node { name state totalRuns } } }
} } }"""

GRID: dict[str, Any] = {
    "method": "grid",
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"x": {"values": [1, 2, 3]}},
}


class Sweep:
    """A sweep on a server, seen from its agents and its runs."""

    def __init__(self, client: httpx.Client, ask: Ask, config: dict[str, Any], **variables: Any) -> None:
        self.client, self.ask = client, ask
        made = ask(CREATE, config=yaml.dump(config), **variables)["upsertSweep"]
        self.id, self.name = made["sweep"]["id"], made["sweep"]["name"]
        self.warnings = made["configValidationWarnings"]

    def agent(self) -> str:
        return str(self.ask(AGENT, sweep=self.name)["createAgent"]["agent"]["id"])

    def beat(self, agent: str, *running: str) -> list[dict[str, Any]]:
        answer = self.ask(BEAT, id=agent, runState=json.dumps(dict.fromkeys(running, True)))
        commands: list[dict[str, Any]] = json.loads(answer["agentHeartbeat"]["commands"])
        return commands

    def draw(self, agent: str) -> tuple[str, dict[str, Any]]:
        """The run an idle agent is given, and its arguments."""
        (command,) = self.beat(agent)
        assert command["type"] in ("run", "resume"), command
        return command["run_id"], {name: value["value"] for name, value in command["args"].items()}

    def start(self, run: str) -> None:
        assert self.ask(START, name=run, sweep=self.name)["upsertBucket"]["bucket"]["sweepName"] == self.name

    def stream(self, run: str, *losses: float, offset: int = 0, **body: Any) -> dict[str, Any]:
        files: dict[str, Any] = {}
        if losses:
            rows = [json.dumps({"loss": loss, "_step": offset + i}) for i, loss in enumerate(losses)]
            files["wandb-history.jsonl"] = {"offset": offset, "content": rows}
            files["wandb-summary.json"] = {"offset": 0, "content": [rows[-1]]}
        answer = self.client.post(f"/files/local/p/{run}/file_stream", json={"files": files, **body})
        assert answer.status_code == 200, answer.text
        reply: dict[str, Any] = answer.json()
        return reply

    def finish(self, run: str, *losses: float, exitcode: int = 0) -> None:
        self.start(run)
        self.stream(run, *losses, complete=True, exitcode=exitcode)

    def delete(self, run: str) -> None:
        bucket = self.ask('query($n: String) { project(name: "p") { run(name: $n) { id } } }', n=run)
        self.ask("mutation($id: ID!) { deleteRun(input: {id: $id}) { success } }", id=bucket["project"]["run"]["id"])

    def set(self, state: str) -> None:
        self.ask(CREATE, id=self.id, state=state)

    def look(self) -> dict[str, Any]:
        sweep: dict[str, Any] = self.ask(LOOK, sweep=self.name)["project"]["sweep"]
        return sweep

    def look_at(self, field: str) -> Any:
        query = f'query($sweep: String!) {{ project(name: "p") {{ sweep(sweepName: $sweep) {{ {field} }} }} }}'
        return self.ask(query, sweep=self.name)["project"]["sweep"][field]

    def states(self) -> list[str]:
        return [edge["node"]["state"] for edge in self.look()["runs"]["edges"]]
