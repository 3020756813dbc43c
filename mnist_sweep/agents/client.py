"""What a sweep's server wants of an agent: W&B's questions and answers, as its own agents ask them.

An agent signs up once. It then asks for a trial, and says every few seconds that it is at it; each answer may bring an
order: run this, stop that, leave. (`wandb/wandb_agent.py`, `wandb/agents/pyagent.py`.)
"""

from __future__ import annotations

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
"""Between two signs of life."""
_PAUSE = 2.0
_ANSWER_SECONDS = 60.0
"""A search may take its time. As W&B's agents."""
_CREATE_AGENT = """mutation CreateAgent($host: String!, $project: String!, $entity: String!, $sweep: String!) {
  createAgent(input: {host: $host, projectName: $project, entityName: $entity, sweep: $sweep}) { agent { id } } }"""
_HEARTBEAT = """mutation Heartbeat($id: ID!, $runs: JSONString) {
  agentHeartbeat(input: {id: $id, metrics: "{}", runState: $runs}) { agent { id } commands } }"""


class AgentRefusedError(UserError, RuntimeError):
    """The server refuses this agent; the message is one line for people."""


@dataclass(frozen=True)
class TrialAssignment:
    """A trial to train."""

    path: str
    """entity/project/id of its sweep"""
    run: str
    values: Mapping[str, Any]
    """`{name: {"value": value}}`, as the client reads it."""

    @property
    def as_text(self) -> str:
        """`max_lr=0.1 dropout=0.03`"""
        return " ".join(f"{name}={spec.get('value')}" for name, spec in self.values.items())

    def environment(self) -> dict[str, str | None]:
        """What tells `wandb.init` that it is this trial."""
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
    """An agent's line to the server of WANDB_BASE_URL, which is waited for where it does not answer."""

    def __init__(self, path: str) -> None:
        """`path` is the sweep: entity/project/id."""
        self._path = path
        self._url = os.environ["WANDB_BASE_URL"].rstrip("/")
        self._patience = waiting.retry_policy(self._url)
        self._agent: str | None = None
        self._over = False

    def next(self) -> TrialAssignment | None:
        """The next trial; None once the sweep is over. Raises Away, OrdersError."""
        while not self._over:
            command = next(iter(self._patience.retry_until_available(lambda: self._heartbeat({}))), None)
            if command is None:
                time.sleep(_PAUSE)
            elif command["type"] == "exit":
                return None
            elif command["type"] in ("run", "resume"):
                return TrialAssignment(self._path, command["run_id"], command.get("args") or {})
        return None

    @contextmanager
    def heartbeating(self, order: TrialAssignment, stop: Callable[[], None]) -> Iterator[None]:
        """Say for as long as the context lasts that the trial is at work; `stop` is called if it shall end."""
        done = threading.Event()
        thread = threading.Thread(target=self._heartbeat_until_done, args=(order, stop, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()  # and no waiting for the thread, which may be waiting for the server

    def _heartbeat_until_done(self, order: TrialAssignment, stop: Callable[[], None], done: threading.Event) -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            with suppress(
                ServerUnavailable, AgentRefusedError
            ):  # the trial goes on; whoever needs the server next will see
                for command in self._patience.attempt(lambda: self._heartbeat({order.run: True})) or []:
                    self._over |= command["type"] == "exit"
                    if not done.is_set() and (command["type"] == "exit" or command.get("run_id") == order.run):
                        stop()

    def _heartbeat(self, runs: Mapping[str, bool]) -> list[dict[str, Any]]:
        """A sign of life, with what is at work; returns what is wanted."""
        if self._agent is None:
            entity, project, sweep = self._path.split("/")
            host = socket.gethostname()
            answer = self._ask(_CREATE_AGENT, host=host, project=project, entity=entity, sweep=sweep)
            self._agent = str(answer["createAgent"]["agent"]["id"])
        try:
            answer = self._ask(_HEARTBEAT, id=self._agent, runs=json.dumps(runs))
        except requests.Timeout:
            if not runs:
                self._agent = None  # whatever the answer was, it is lost: who signs up anew gets it again
            raise
        commands: list[dict[str, Any]] = json.loads(answer["agentHeartbeat"]["commands"] or "[]")
        return commands

    def _ask(self, query: str, **variables: str) -> dict[str, Any]:
        key = os.environ.get("WANDB_API_KEY")
        answer = requests.post(
            f"{self._url}/graphql",
            json={"query": query, "variables": variables},
            auth=("api", key) if key else None,  # else from ~/.netrc
            headers=json.loads(os.environ.get("WANDB_X_EXTRA_HTTP_HEADERS") or "{}"),
            timeout=_ANSWER_SECONDS,
        )
        if answer.status_code in (401, 403, 404):
            raise AgentRefusedError(
                f"{self._url} refuses this agent of {self._path}: {answer.status_code} {answer.reason}"
            )
        answer.raise_for_status()
        told = answer.json()
        if told.get("errors"):
            raise AgentRefusedError(
                f"{self._url} refuses this agent of {self._path}: {told['errors'][0].get('message')}"
            )
        data: dict[str, Any] = told["data"]
        return data
