"""The agent's side of W&B's protocol for sweeps, as W&B's own agents speak it.

An agent registers once. It then asks for trials, and sends a heartbeat every few seconds while it trains one. Each
answer may contain a command: run a trial, stop a run, or exit. (`wandb/wandb_agent.py`, `wandb/agents/pyagent.py`.)
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from mnist_sweep.connection import waiting
from mnist_sweep.connection.waiting import ServerUnavailable
from mnist_sweep.errors import UserError

HEARTBEAT_SECONDS = 5.0
"""Time between two heartbeats."""
_PAUSE = 2.0
_ANSWER_SECONDS = 60.0
"""Time limit for an answer, which may take a search; the same as W&B's agents use."""
_CREATE_AGENT = """mutation CreateAgent($host: String!, $project: String!, $entity: String!, $sweep: String!) {
  createAgent(input: {host: $host, projectName: $project, entityName: $entity, sweep: $sweep}) { agent { id } } }"""
_HEARTBEAT = """mutation Heartbeat($id: ID!, $runs: JSONString) {
  agentHeartbeat(input: {id: $id, metrics: "{}", runState: $runs}) { agent { id } commands } }"""


class AgentRefusedError(UserError, RuntimeError):
    """The server refuses this agent. The message is one line for people."""


@dataclass(frozen=True)
class TrialAssignment:
    """A trial that the server assigned to this agent."""

    path: str
    """The sweep: entity/project/id."""
    run: str
    """The id of the run."""
    values: Mapping[str, Any]
    """`{name: {"value": value}}`, as the client reads it."""

    @property
    def as_text(self) -> str:
        """`max_lr=0.1 dropout=0.03`"""
        return " ".join(f"{name}={spec.get('value')}" for name, spec in self.values.items())

    def environment(self) -> dict[str, str | None]:
        """Write the trial's values to a file and return the variables that make `wandb.init` start this trial."""
        entity, project, sweep = self.path.split("/")
        folder = Path(os.environ.get("WANDB_DIR", ".")).absolute() / "wandb" / f"sweep-{sweep}"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"config-{self.run}.yaml"
        file.write_text(yaml.safe_dump({"wandb_version": 1, **self.values}), "utf-8")
        return {
            "WANDB_ENTITY": entity,
            "WANDB_PROJECT": project,
            "WANDB_SWEEP_ID": sweep,
            "WANDB_RUN_ID": self.run,
            "WANDB_SWEEP_PARAM_PATH": str(file),
        }


class AgentClient:
    """One agent's connection to the server of WANDB_BASE_URL. Requests wait while that does not answer."""

    def __init__(self, path: str) -> None:
        """Create a client for the sweep `path`: entity/project/id."""
        self._path = path
        self._url = os.environ["WANDB_BASE_URL"].rstrip("/")
        self._retry = waiting.retry_policy(self._url)
        self._agent: str | None = None
        self._over = False

    def next(self) -> TrialAssignment | None:
        """Return the next trial, or None once the sweep is over.

        Raise ServerUnavailable if the server has not answered for too long, and AgentRefusedError if the server refuses
        this agent.
        """
        while not self._over:
            command = next(iter(self._retry.retry_until_available(lambda: self._heartbeat({}))), None)
            if command is None:
                time.sleep(_PAUSE)
            elif command["type"] == "exit":
                return None
            elif command["type"] in ("run", "resume"):
                return TrialAssignment(self._path, command["run_id"], command.get("args") or {})
        return None

    @contextmanager
    def heartbeating(self, trial: TrialAssignment, stop: Callable[[], None]) -> Iterator[None]:
        """Send heartbeats for `trial` inside the block. Call `stop` if the server wants the trial to end."""
        done = threading.Event()
        thread = threading.Thread(target=self._heartbeat_until_done, args=(trial, stop, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()  # without joining the thread, which may be waiting for the server

    def _heartbeat_until_done(self, trial: TrialAssignment, stop: Callable[[], None], done: threading.Event) -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            # The trial continues without a server; the next request that needs one reports it.
            with suppress(ServerUnavailable, AgentRefusedError):
                for command in self._retry.attempt(lambda: self._heartbeat({trial.run: True})) or []:
                    self._over |= command["type"] == "exit"
                    if not done.is_set() and (command["type"] == "exit" or command.get("run_id") == trial.run):
                        stop()

    def _heartbeat(self, runs: Mapping[str, bool]) -> list[dict[str, Any]]:
        """Send a heartbeat that names the running `runs`, and return the server's commands."""
        if self._agent is None:
            entity, project, sweep = self._path.split("/")
            host = socket.gethostname()
            answer = self._request(_CREATE_AGENT, host=host, project=project, entity=entity, sweep=sweep)
            self._agent = str(answer["createAgent"]["agent"]["id"])
        try:
            answer = self._request(_HEARTBEAT, id=self._agent, runs=json.dumps(runs))
        except requests.Timeout:
            if not runs:
                self._agent = None  # the answer may have held a trial: a new agent of this task gets it again
            raise
        commands: list[dict[str, Any]] = json.loads(answer["agentHeartbeat"]["commands"] or "[]")
        return commands

    def _request(self, query: str, **variables: str) -> dict[str, Any]:
        key = os.environ.get("WANDB_API_KEY")
        response = requests.post(
            f"{self._url}/graphql",
            json={"query": query, "variables": variables},
            auth=("api", key) if key else None,  # requests then looks into ~/.netrc
            headers=json.loads(os.environ.get("WANDB_X_EXTRA_HTTP_HEADERS") or "{}"),
            timeout=_ANSWER_SECONDS,
        )
        if response.status_code in (401, 403, 404):
            raise AgentRefusedError(
                f"{self._url} refuses this agent of {self._path}: {response.status_code} {response.reason}"
            )
        response.raise_for_status()
        answer = response.json()
        if answer.get("errors"):
            raise AgentRefusedError(
                f"{self._url} refuses this agent of {self._path}: {answer['errors'][0].get('message')}"
            )
        data: dict[str, Any] = answer["data"]
        return data
