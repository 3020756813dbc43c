"""Reports and workspaces."""

import sqlite3
from typing import Any

from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.gql import account, ids
from mnist_sweep.server.gql.connection import slice_page
from mnist_sweep.server.gql.projects import named
from mnist_sweep.server.gql.registry import Context, columns, constants, field, identified, mutation
from mnist_sweep.server.store import projects, views

columns(
    "View",
    type="type",
    name="name",
    displayName="display_name",
    description="description",
    spec="spec",
    createdAt="created_at",
    updatedAt="updated_at",
)
identified("View")
constants("View", locked=False, previewUrl=None, coverUrl=None)


@field("Query", "view")
def view(_: None, context: Context, id: str) -> sqlite3.Row:
    return views.by_id(context.db, ids.decode("View", id))


@field("Project", "allViews")
def all_views(
    source: sqlite3.Row,
    context: Context,
    viewType: str | None = None,
    viewName: str | None = None,
    first: int | None = None,
    after: str | None = None,
) -> dict[str, Any]:
    return slice_page(views.listing(context.db, source["id"], viewType, viewName), after, first)


@field("View", "entityName")
def entity_name(source: sqlite3.Row, context: Context) -> Any:
    return projects.by_id(context.db, source["project_id"])["entity"]


@field("View", "user")
def user(source: sqlite3.Row, context: Context) -> dict[str, Any]:
    return account.user(context.entity)


@mutation("upsertView")
def upsert_view(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    fields = {
        column: input[name]
        for name, column in (
            ("type", "type"),
            ("name", "name"),
            ("displayName", "display_name"),
            ("description", "description"),
            ("spec", "spec"),
        )
        if input.get(name) is not None
    }
    if input.get("id"):
        key = ids.decode("View", input["id"])
        views.by_id(context.db, key)
    else:
        if "spec" not in fields:
            raise BadRequest("a new view needs a spec")
        project = projects.ensure(context.db, *named(context, input))
        key = views.create(
            context.db, project["id"], fields.get("type", "runs"), fields.get("name", ""), fields["spec"]
        )
    views.update(context.db, key, **fields)
    return {"view": views.by_id(context.db, key), "inserted": not input.get("id")}


@mutation("deleteView")
def delete_view(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    views.delete(context.db, ids.decode("View", input["id"]))
    return {"success": True, "pendingDrafts": 0}
