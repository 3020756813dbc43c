"""Sweeps and agents."""

import json
from typing import Any

from mnist_sweep.server import records
from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.gql import ids
from mnist_sweep.server.gql.projects import named, run_page
from mnist_sweep.server.gql.registry import Context, columns, constants, field, fields, given, listings, mutation
from mnist_sweep.server.store import projects, sweeps
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.rows import Agent, Project, Run, Sweep
from mnist_sweep.server.sweeps import leases, states
from mnist_sweep.server.wire_json import as_object

columns("Sweep", heartbeatAt="updated_at")
constants("Sweep", earlyStopJobRunning=False)
fields(
    Sweep,
    displayName=lambda row, _: row.display_name or sweeps.parse_config(row.config).name,
    controllerRunName=lambda row, _: f"{row.name}-scheduler",  # `wandb sweep-scheduler` writes to its console
    method=lambda row, _: sweeps.parse_config(row.config).method,
    runCount=lambda row, context: sweeps.run_count(context.db, row.id),
    runCountExpected=lambda row, _: states.expected_trials(row),
)
listings(
    Sweep,
    length=10_000,
    priorRuns=lambda row, context: [Run.by_id(context.db, key) for key in json.loads(row.prior_runs)],
    agents=lambda row, context: sweeps.agents(context.db, row.id),
)
fields(
    Agent,
    state=lambda row, _: "RUNNING" if row.heartbeat_at > now(seconds_ago=states.AGENT_SILENCE) else "FINISHED",
)


@field("Sweep", "bestLoss")
def best_loss(source: Sweep, context: Context) -> float | None:
    _, best = records.best(context.db, source)
    return None if best is None else best.value


@field("Sweep", "runs")
def sweep_runs(
    source: Sweep, context: Context, first: int | None = None, order: str | None = None, **page: Any
) -> dict[str, Any]:
    first, order = 10_000 if first is None else first, order or "+created_at"
    return run_page(context, project_id=source.project_id, sweep_id=source.id, first=first, order=order, **page)


@field("Sweep", "agent")
def agent(source: Sweep, context: Context, agentName: str | None = None) -> Agent | None:
    found = sweeps.agents(context.db, source.id)
    return next((row for row in found if agentName in (row.name, ids.encode("Agent", row.id))), None)


@field("Agent", "runs")
def agent_runs(
    source: Agent,
    context: Context,
    after: str | None = None,
    first: int | None = None,
    order: str | None = None,
    **_: Any,
) -> dict[str, Any]:
    sweep = Sweep.by_id(context.db, source.sweep_id)
    return run_page(context, project_id=sweep.project_id, agent_id=source.id, after=after, first=first, order=order)


# Changes


@mutation("upsertSweep")
def upsert_sweep(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    known = _known(context, input)
    values = given(input, "state", "description", "displayName", "controller", "scheduler")
    warnings: list[str] = []
    if (text := input.get("config")) is not None:
        warnings = context.dispatcher.check(sweeps.parse_config(text))
    if known is None:
        if text is None:
            raise BadRequest("a new sweep needs a configuration")
        project = projects.ensure(context.db, *named(context, input))
        values["prior_runs"] = json.dumps(_prior_runs(context, project.id, input.get("priorRunsFilters")))
        key = sweeps.create(context.db, project.id, text, **values)
    else:
        key = known.id
        if values.get("state") == "PAUSED" and known.state not in ("RUNNING", "PAUSED"):
            raise BadRequest(f"the sweep is {known.state.lower()}: only a running sweep can be paused")
        if text is not None and text != known.config:
            if known.trials or sweeps.run_count(context.db, key):
                raise BadRequest("a trial of this sweep was handed out: it cannot change any more; create a new sweep")
            values["config"] = text
        sweeps.update(context.db, key, **values)
        if "state" in values:
            context.dispatcher.state_was_set(context.db, key, values["state"])
    return {"sweep": Sweep.by_id(context.db, key), "configValidationWarnings": warnings}


def _known(context: Context, input: dict[str, Any]) -> Sweep | None:
    """Return the sweep that a mutation names by its opaque or short id; None if it names none."""
    if not input.get("id"):
        return None
    project = Project.find(context.db, *named(context, input))
    if project is not None and (row := Sweep.find(context.db, project.id, input["id"])) is not None:
        return row
    return Sweep.by_id(context.db, ids.decode("Sweep", input["id"]))


def _prior_runs(context: Context, project_id: int, filters: str | None) -> list[int]:
    if not as_object(filters, "priorRunsFilters"):
        return []
    page = run_page(context, project_id=project_id, filters=filters, first=10_000, order="+created_at")
    return [edge["node"].id for edge in page["edges"]]


@mutation("deleteSweep")
def delete_sweep(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    Sweep.delete(context.db, ids.decode("Sweep", input["id"]))
    return {"success": True}


@mutation("enqueueSweepRun")
def enqueue_sweep_run(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    sweep = Sweep.by_id(context.db, ids.decode("Sweep", input["id"]))
    run = context.dispatcher.enqueue(context.db, sweep, as_object(input["config"], "config"), input.get("displayName"))
    return {"id": run.name, "runQueueItemId": ids.encode("RunQueueItem", run.id)}


@mutation("createAgent")
def create_agent(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    sweep = Sweep.get(context.db, *named(context, input), input["sweep"])
    key = context.dispatcher.register_agent(context.db, sweep, input["host"], leases.parse(context.caller))
    return {"agent": Agent.by_id(context.db, key)}


@mutation("agentHeartbeat")
def agent_heartbeat(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    key = ids.decode("Agent", input["id"])
    commands = context.dispatcher.heartbeat(key, as_object(input.get("runState"), "runState"))
    return {"agent": {"id": key}, "commands": json.dumps(commands)}
