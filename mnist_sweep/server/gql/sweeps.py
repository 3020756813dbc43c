"""Sweeps and agents."""

import json
import sqlite3
from typing import Any

from mnist_sweep.server import records
from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.gql import ids
from mnist_sweep.server.gql.connection import slice_page
from mnist_sweep.server.gql.projects import named, run_page
from mnist_sweep.server.gql.registry import Context, columns, constants, field, identified, mutation
from mnist_sweep.server.store import projects, runs, sweeps
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.sweeps import leases, states
from mnist_sweep.server.wire_json import as_object

columns(
    "Sweep",
    name="name",
    state="state",
    description="description",
    config="config",
    createdAt="created_at",
    updatedAt="updated_at",
    heartbeatAt="updated_at",
    controller="controller",
    scheduler="scheduler",
)
identified("Sweep", "Agent")
constants("Sweep", earlyStopJobRunning=False)
columns("Agent", name="name", host="host", createdAt="created_at", heartbeatAt="heartbeat_at", totalRuns="total_runs")


@field("Sweep", "displayName")
def display_name(source: sqlite3.Row, _: Context) -> Any:
    return source["display_name"] or sweeps.parse_config(source["config"]).name


@field("Sweep", "controllerRunName")
def controller_run_name(source: sqlite3.Row, _: Context) -> str:
    return f"{source['name']}-scheduler"  # the run to whose console a `wandb sweep-scheduler` writes


@field("Sweep", "method")
def method(source: sqlite3.Row, _: Context) -> Any:
    return sweeps.parse_config(source["config"]).method


@field("Sweep", "runCount")
def run_count(source: sqlite3.Row, context: Context) -> int:
    return sweeps.run_count(context.db, source["id"])


@field("Sweep", "runCountExpected")
def run_count_expected(source: sqlite3.Row, context: Context) -> int | None:
    return states.expected_trials(source)


@field("Sweep", "bestLoss")
def best_loss(source: sqlite3.Row, context: Context) -> float | None:
    _, best = records.best(context.db, source)
    return None if best is None else best.value


@field("Sweep", "runs")
def sweep_runs(
    source: sqlite3.Row,
    context: Context,
    filters: str | None = None,
    after: str | None = None,
    first: int | None = None,
    order: str | None = None,
) -> dict[str, Any]:
    return run_page(
        context,
        project_id=source["project_id"],
        sweep_id=source["id"],
        filters_json=filters,
        after=after,
        first=10_000 if first is None else first,
        order=order or "+created_at",
    )


@field("Sweep", "agents")
def agents(source: sqlite3.Row, context: Context, first: int | None = None) -> dict[str, Any]:
    return slice_page(sweeps.agents(context.db, source["id"]), None, 10_000)


@field("Sweep", "agent")
def agent(source: sqlite3.Row, context: Context, agentName: str | None = None) -> sqlite3.Row | None:
    found = sweeps.agents(context.db, source["id"])
    return next((row for row in found if agentName in (row["name"], ids.encode("Agent", row["id"]))), None)


@field("Agent", "state")
def agent_state(source: sqlite3.Row, _: Context) -> str:
    return "RUNNING" if source["heartbeat_at"] > now(seconds_ago=states.AGENT_SILENCE) else "FINISHED"


@field("Agent", "runs")
def agent_runs(
    source: sqlite3.Row,
    context: Context,
    after: str | None = None,
    before: str | None = None,
    first: int | None = None,
    last: int | None = None,
    order: str | None = None,
) -> dict[str, Any]:
    sweep = sweeps.by_id(context.db, source["sweep_id"])
    return run_page(
        context, project_id=sweep["project_id"], agent_id=source["id"], after=after, first=first, order=order
    )


# Changes


@mutation("upsertSweep")
def upsert_sweep(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    known = _known(context, input)
    fields = {
        column: input[name]
        for name, column in (
            ("state", "state"),
            ("description", "description"),
            ("displayName", "display_name"),
            ("controller", "controller"),
            ("scheduler", "scheduler"),
        )
        if input.get(name) is not None
    }
    warnings: list[str] = []
    if (text := input.get("config")) is not None:
        warnings = context.dispatcher.check(sweeps.parse_config(text))
    if known is None:
        if text is None:
            raise BadRequest("a new sweep needs a configuration")
        project = projects.ensure(context.db, *named(context, input))
        fields["prior_runs"] = json.dumps(_prior_runs(context, project["id"], input.get("priorRunsFilters")))
        key = sweeps.create(context.db, project["id"], text, **fields)
    else:
        key = known["id"]
        if fields.get("state") == "PAUSED" and known["state"] not in ("RUNNING", "PAUSED"):
            raise BadRequest(f"the sweep is {known['state'].lower()}: only a running sweep can be paused")
        if text is not None and text != known["config"]:
            if known["trials"] or sweeps.run_count(context.db, key):
                raise BadRequest("a trial of this sweep was handed out: it cannot change any more; create a new sweep")
            fields["config"] = text
        sweeps.update(context.db, key, **fields)
        if "state" in fields:
            context.dispatcher.state_was_set(context.db, key, fields["state"])
    return {"sweep": sweeps.by_id(context.db, key), "configValidationWarnings": warnings}


def _known(context: Context, input: dict[str, Any]) -> sqlite3.Row | None:
    """Return the sweep that a mutation names by its opaque or short id; None if it names none."""
    if not input.get("id"):
        return None
    project = projects.find(context.db, *named(context, input))
    if project is not None and (row := sweeps.find(context.db, project["id"], input["id"])) is not None:
        return row
    return sweeps.by_id(context.db, ids.decode("Sweep", input["id"]))


def _prior_runs(context: Context, project_id: int, filters_json: str | None) -> list[int]:
    if not as_object(filters_json, "priorRunsFilters"):
        return []
    page = run_page(context, project_id=project_id, filters_json=filters_json, first=10_000, order="+created_at")
    return [edge["node"]["id"] for edge in page["edges"]]


@field("Sweep", "priorRuns")
def prior_runs(source: sqlite3.Row, context: Context) -> dict[str, Any]:
    return slice_page([runs.by_id(context.db, key) for key in json.loads(source["prior_runs"])], None, 10_000)


@mutation("deleteSweep")
def delete_sweep(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    sweeps.delete(context.db, ids.decode("Sweep", input["id"]))
    return {"success": True}


@mutation("enqueueSweepRun")
def enqueue_sweep_run(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    sweep = sweeps.by_id(context.db, ids.decode("Sweep", input["id"]))
    run = context.dispatcher.enqueue(context.db, sweep, as_object(input["config"], "config"), input.get("displayName"))
    return {"id": run["name"], "runQueueItemId": ids.encode("RunQueueItem", run["id"])}


@mutation("createAgent")
def create_agent(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    sweep = sweeps.get(context.db, *named(context, input), input["sweep"])
    key = context.dispatcher.register_agent(context.db, sweep, input["host"], leases.parse(context.caller))
    return {"agent": sweeps.agent(context.db, key)}


@mutation("agentHeartbeat")
def agent_heartbeat(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    key = ids.decode("Agent", input["id"])
    commands = context.dispatcher.heartbeat(key, as_object(input.get("runState"), "runState"))
    return {"agent": {"id": key}, "commands": json.dumps(commands)}
