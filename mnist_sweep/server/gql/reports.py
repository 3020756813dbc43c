"""Reports and workspaces."""

from typing import Any

from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.gql import account, ids
from mnist_sweep.server.gql.projects import named
from mnist_sweep.server.gql.registry import Context, constants, field, fields, given, listing, mutation
from mnist_sweep.server.store import projects, views
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.rows import Project, View

constants("View", locked=False, previewUrl=None, coverUrl=None)
fields(
    View,
    entityName=lambda row, context: Project.by_id(context.db, row.project_id).entity,
    user=lambda _, context: account.user(context.entity),
)


@field("Query", "view")
def view(_: None, context: Context, id: str) -> View:
    return View.by_id(context.db, ids.decode("View", id))


@listing("Project", "allViews")
def all_views(
    source: Project, context: Context, viewType: str | None = None, viewName: str | None = None
) -> list[View]:
    return views.listing(context.db, source.id, viewType, viewName)


@mutation("upsertView")
def upsert_view(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    values = given(input, "type", "name", "displayName", "description", "spec")
    if input.get("id"):
        key = View.by_id(context.db, ids.decode("View", input["id"])).id
    else:
        if "spec" not in values:
            raise BadRequest("a new view needs a spec")
        project = projects.ensure(context.db, *named(context, input))
        key = views.create(context.db, project.id, "runs", "", values["spec"])
    View.set(context.db, key, updated_at=now(), **values)
    return {"view": View.by_id(context.db, key), "inserted": not input.get("id")}


@mutation("deleteView")
def delete_view(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    View.delete(context.db, ids.decode("View", input["id"]))
    return {"success": True, "pendingDrafts": 0}
