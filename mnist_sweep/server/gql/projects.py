"""Projects and what hangs below them."""

import sqlite3
from typing import Any

from mnist_sweep.server.gql import account, ids
from mnist_sweep.server.gql.connection import page, slice_page, window
from mnist_sweep.server.gql.registry import Context, columns, constants, field, mutation
from mnist_sweep.server.store import filters, projects, runs, sweeps
from mnist_sweep.server.store.errors import BadRequest, NotFound

UNNAMED = "uncategorized"

columns("Project", name="name", entityName="entity", description="description", createdAt="created_at")
constants("Project", access="PRIVATE", views="{}", isBenchmark=False, isPublished=False, readOnly=False, runQueues=[])


def wanted(context: Context, entity: str | None, name: str | None) -> sqlite3.Row:
    """The project that a change names.

    Raises:
        NotFound: there is none.
    """
    row = projects.find(context.db, entity or context.entity, name or UNNAMED)
    if row is None:
        raise NotFound(f"no project {name or UNNAMED!r} of {entity or context.entity!r}")
    return row


def wanted_run(context: Context, entity: str | None, project: str | None, name: str) -> sqlite3.Row:
    """The run that a change names.

    Raises:
        NotFound: there is none.
    """
    row = runs.find(context.db, wanted(context, entity, project)["id"], name)
    if row is None:
        raise NotFound(f"no run {name[:100]!r} in {entity or context.entity}/{project}")
    return row


def run_page(
    context: Context,
    *,
    project_id: int,
    sweep_id: int | None = None,
    agent_id: int | None = None,
    filters_json: str | None = None,
    after: str | None = None,
    first: int | None = None,
    order: str | None = None,
) -> dict[str, Any]:
    """A page of a project's runs, narrowed and sorted as W&B's `runs` field does."""
    where, values = filters.where(filters_json)
    for column, value in (("project_id", project_id), ("sweep_id", sweep_id), ("agent_id", agent_id)):
        if value is not None:
            where, values = f"runs.{column} = ? AND {where}", [value, *values]
    start, length = window(after, first)
    total = _count(context.db, where, values)
    sort, sort_values = filters.order(order)
    rows = context.db.execute(
        f"{runs.SELECT} WHERE {where} ORDER BY {sort} LIMIT ? OFFSET ?",
        [*values, *sort_values, length, start],
    ).fetchall()
    return page(rows, total, start)


def _count(db: sqlite3.Connection, where: str, values: list[Any]) -> int:
    sql = runs.SELECT.split("FROM runs", 1)[1]
    return int(db.execute(f"SELECT count(*) FROM runs {sql} WHERE {where}", values).fetchone()[0])


@field("Query", "project")
@field("Query", "model")
def project(_: None, context: Context, name: str | None = None, entityName: str | None = None) -> sqlite3.Row | None:
    return projects.find(context.db, entityName or context.entity, name or UNNAMED)


@field("Query", "models")
def listing(
    _: None, context: Context, entityName: str | None = None, after: str | None = None, first: int | None = None
) -> dict[str, Any]:
    return slice_page(projects.listing(context.db, entityName or context.entity), after, first)


@field("Project", "id")
def project_id(source: sqlite3.Row, _: Context) -> str:
    return ids.encode("Project", source["id"])


@field("Project", "internalId")
def internal_id(source: sqlite3.Row, _: Context) -> str:
    return ids.encode("ProjectInternalId", source["id"])


@field("Project", "entity")
def entity(source: sqlite3.Row, _: Context) -> dict[str, Any]:
    return account.entity(source["entity"])


@field("Project", "user")
def user(source: sqlite3.Row, _: Context) -> dict[str, Any]:
    return account.user(source["entity"])


@field("Project", "run")
def run(source: sqlite3.Row, context: Context, name: str | None = None, desc: str | None = None) -> sqlite3.Row | None:
    return runs.find(context.db, source["id"], name or "")


@field("Project", "bucket")
def bucket(
    source: sqlite3.Row, context: Context, name: str | None = None, missingOk: bool | None = None
) -> sqlite3.Row | None:
    return runs.find(context.db, source["id"], name or "")


@field("Project", "runs")
def project_runs(
    source: sqlite3.Row,
    context: Context,
    filters: str | None = None,
    after: str | None = None,
    first: int | None = None,
    order: str | None = None,
) -> dict[str, Any]:
    return run_page(context, project_id=source["id"], filters_json=filters, after=after, first=first, order=order)


@field("Project", "runCount")
def run_count(source: sqlite3.Row, context: Context, filters: str | None = None) -> int:
    return int(run_page(context, project_id=source["id"], filters_json=filters, first=0)["totalCount"])


@field("Project", "sweep")
def sweep(source: sqlite3.Row, context: Context, sweepName: str | None = None) -> sqlite3.Row | None:
    return sweeps.find(context.db, source["id"], sweepName or "")


@field("Project", "sweeps")
def project_sweeps(
    source: sqlite3.Row,
    context: Context,
    filters: str | None = None,
    after: str | None = None,
    first: int | None = None,
) -> dict[str, Any]:
    return slice_page(_sweeps(source, context, filters), after, first)


@field("Project", "totalSweeps")
def total_sweeps(source: sqlite3.Row, context: Context) -> int:
    return len(sweeps.listing(context.db, source["id"]))


def _sweeps(source: sqlite3.Row, context: Context, conditions: str | None) -> list[sqlite3.Row]:
    where, values = filters.where(conditions, filters.SWEEP_FIELDS)
    return context.db.execute(
        f"{sweeps.SELECT} WHERE sweeps.project_id = ? AND {where} ORDER BY sweeps.id DESC",
        [source["id"], *values],
    ).fetchall()


@mutation("upsertModel")
def upsert_model(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    if not input.get("name"):
        raise BadRequest("a project needs a name")
    entity_name = input.get("entityName") or context.entity
    known = projects.find(context.db, entity_name, input["name"])
    row = projects.ensure(context.db, entity_name, input["name"], input.get("description"))
    return {"project": row, "model": row, "inserted": known is None}


@mutation("deleteModel")
def delete_model(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    context.db.execute("DELETE FROM projects WHERE id = ?", (ids.decode("Project", input["id"]),))
    return {"success": True}
