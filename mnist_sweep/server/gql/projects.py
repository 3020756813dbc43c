"""Projects, and the runs and sweeps in them."""

from typing import Any

from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.gql import account, ids
from mnist_sweep.server.gql.connection import page, window
from mnist_sweep.server.gql.registry import Context, columns, constants, field, fields, listing, mutation
from mnist_sweep.server.store import projects, runs, sweeps
from mnist_sweep.server.store.rows import Collection, Project, Run, Sweep, View
from mnist_sweep.server.sweeps import leases

UNNAMED = "uncategorized"

columns("Project", entityName="entity")
constants("Project", access="PRIVATE", views="{}", isBenchmark=False, isPublished=False, readOnly=False, runQueues=[])
fields(
    Project,
    internalId=lambda row, _: ids.encode("ProjectInternalId", row.id),
    entity=lambda row, _: account.entity(row.entity),
    totalSweeps=lambda row, context: len(sweeps.listing(context.db, row.id)),
)


def named(context: Context, input: dict[str, Any]) -> tuple[str, str]:
    """Return the entity and the name of a mutation's project: those in its input, or the defaults."""
    return input.get("entityName") or context.entity, input.get("projectName") or input.get("modelName") or UNNAMED


def named_run(context: Context, input: dict[str, Any]) -> Run:
    """Return the run that a mutation names, if the caller may change it.

    Raise NotFound if there is no such run, and BadRequest as `authorize_writer` does.
    """
    return authorize_writer(context, Run.get(context.db, *named(context, input), input["runName"]))


def authorize_writer(context: Context, run: Run) -> Run:
    """Return a run if the caller may change it. A person may resume a run that has ended.

    Raise BadRequest if the caller is a task that had the trial earlier.
    """
    if run.state not in runs.ALIVE and context.caller is None:
        runs.update(context.db, run.id, holder=None, lease_revoked=False)
    elif not leases.may_write(context.caller, run.holder, bool(run.lease_revoked)):
        raise BadRequest(f"run {run.name} is no longer yours: its trial was handed out again")
    return run


def run_page(
    context: Context,
    *,
    project_id: int,
    sweep_id: int | None = None,
    agent_id: int | None = None,
    filters: str | None = None,
    after: str | None = None,
    first: int | None = None,
    order: str | None = None,
) -> dict[str, Any]:
    """Return a page of a project's runs, filtered and sorted as in W&B's `runs` field."""
    start, length = window(after, first)
    only = {"project_id": project_id, "sweep_id": sweep_id, "agent_id": agent_id}
    rows, total = runs.search(context.db, filters, order, start, length, **only)
    return page(rows, total, start)


@field("Query", "project")
@field("Query", "model")
def project(_: None, context: Context, name: str | None = None, entityName: str | None = None) -> Project | None:
    return Project.find(context.db, entityName or context.entity, name or UNNAMED)


@listing("Query", "models")
def models(_: None, context: Context, entityName: str | None = None) -> list[Project]:
    return projects.listing(context.db, entityName or context.entity)


@field("Run", "project")
@field("Sweep", "project")
@field("View", "project")
@field("ArtifactSequence", "project")
@field("ArtifactPortfolio", "project")
def owner(source: Run | Sweep | View | Collection, context: Context) -> Project:
    return Project.by_id(context.db, source.project_id)


@field("Project", "run")
@field("Project", "bucket")
def run(source: Project, context: Context, name: str | None = None, **_: Any) -> Run | None:
    return Run.find(context.db, source.id, name or "")


@field("Project", "runs")
def project_runs(source: Project, context: Context, **page: Any) -> dict[str, Any]:
    return run_page(context, project_id=source.id, **page)


@field("Project", "runCount")
def run_count(source: Project, context: Context, filters: str | None = None) -> int:
    return int(run_page(context, project_id=source.id, filters=filters, first=0)["totalCount"])


@field("Project", "sweep")
def sweep(source: Project, context: Context, sweepName: str | None = None) -> Sweep | None:
    return Sweep.find(context.db, source.id, sweepName or "")


@listing("Project", "sweeps")
def project_sweeps(source: Project, context: Context, filters: str | None = None) -> list[Sweep]:
    return sweeps.listing(context.db, source.id, filters)


@mutation("upsertModel")
def upsert_model(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    if not input.get("name"):
        raise BadRequest("a project needs a name")
    entity_name = input.get("entityName") or context.entity
    known = Project.find(context.db, entity_name, input["name"])
    row = projects.ensure(context.db, entity_name, input["name"], input.get("description"))
    return {"project": row, "model": row, "inserted": known is None}


@mutation("deleteModel")
def delete_model(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    Project.delete(context.db, ids.decode("Project", input["id"]))
    return {"success": True}
