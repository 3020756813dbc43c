"""Artifact collections: the named sequences that versions belong to, and portfolios that link to versions."""

import json
import sqlite3
from collections.abc import Callable
from typing import Any

from mnist_sweep.server.gql import ids
from mnist_sweep.server.gql.artifacts import collection_of, file_page
from mnist_sweep.server.gql.connection import slice_page
from mnist_sweep.server.gql.registry import AnyResolver, Context, columns, constants, field, mutation
from mnist_sweep.server.jsonedge import dumps
from mnist_sweep.server.store import artifacts, projects
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.errors import BadRequest, NotFound

KINDS = ("ArtifactSequence", "ArtifactPortfolio")

for kind in KINDS:
    columns(kind, name="name", description="description", createdAt="created_at", updatedAt="updated_at")
    constants(kind, state="READY")
columns("ArtifactAlias", alias="alias")
columns("ArtifactCollectionMembership", versionIndex="version", createdAt="created_at")


def type_node(collection: sqlite3.Row) -> dict[str, Any]:
    """The artifact type of a collection: a name, inside its project."""
    return {
        "id": ids.encode("ArtifactType", collection["id"]),
        "name": collection["type"],
        "createdAt": collection["created_at"],
        "project_id": collection["project_id"],
    }


def _both(name: str) -> Callable[[AnyResolver], AnyResolver]:
    """Register a resolver for a field of both kinds of collection."""

    def register(resolver: AnyResolver) -> AnyResolver:
        for kind in KINDS:
            field(kind, name)(resolver)
        return resolver

    return register


def _members(db: sqlite3.Connection, collection_id: int) -> list[sqlite3.Row]:
    return db.execute(
        "SELECT * FROM memberships WHERE collection_id = ? ORDER BY version DESC", (collection_id,)
    ).fetchall()


@field("Query", "artifactCollection")
def by_id(_: None, context: Context, id: str) -> sqlite3.Row | None:
    return collection_of(context.db, ids.decode("ArtifactCollection", id))


@field("Project", "artifactType")
def artifact_type(source: sqlite3.Row, context: Context, name: str) -> dict[str, Any] | None:
    row = context.db.execute(
        "SELECT * FROM collections WHERE project_id = ? AND type = ? ORDER BY id", (source["id"], name)
    ).fetchone()
    return None if row is None else type_node(row)


@field("Project", "artifactTypes")
def artifact_types(
    source: sqlite3.Row, context: Context, after: str | None = None, first: int | None = None
) -> dict[str, Any]:
    rows = context.db.execute(
        "SELECT *, min(id) FROM collections WHERE project_id = ? GROUP BY type ORDER BY type", (source["id"],)
    ).fetchall()
    return slice_page([type_node(row) for row in rows], after, first)


@field("Project", "artifactCollection")
def project_collection(source: sqlite3.Row, context: Context, name: str) -> sqlite3.Row | None:
    return artifacts.collection(context.db, source["id"], name)


@field("ArtifactType", "artifactCollection")
def type_collection(source: dict[str, Any], context: Context, name: str) -> sqlite3.Row | None:
    row = artifacts.collection(context.db, source["project_id"], name)
    return row if row is not None and row["type"] == source["name"] else None


@field("Project", "artifactCollections")
def project_collections(
    source: sqlite3.Row, context: Context, after: str | None = None, first: int | None = None, **_: Any
) -> dict[str, Any]:
    rows = context.db.execute(
        "SELECT * FROM collections WHERE project_id = ? ORDER BY id DESC", (source["id"],)
    ).fetchall()
    return slice_page(rows, after, first)


@field("ArtifactType", "artifactCollections")
def type_collections(
    source: dict[str, Any], context: Context, after: str | None = None, first: int | None = None, **_: Any
) -> dict[str, Any]:
    rows = context.db.execute(
        "SELECT * FROM collections WHERE project_id = ? AND type = ? ORDER BY id DESC",
        (source["project_id"], source["name"]),
    ).fetchall()
    return slice_page(rows, after, first)


@field("Project", "artifactCollectionMembership")
def collection_membership(source: sqlite3.Row, context: Context, name: str) -> sqlite3.Row | None:
    return artifacts.find(context.db, source["id"], name)


@_both("id")
def collection_id(source: sqlite3.Row, _: Context) -> str:
    return ids.encode("ArtifactCollection", source["id"])


@_both("project")
def project(source: sqlite3.Row, context: Context) -> sqlite3.Row:
    return projects.by_id(context.db, source["project_id"])


@_both("defaultArtifactType")
def default_type(source: sqlite3.Row, _: Context) -> dict[str, Any]:
    return type_node(source)


@_both("tags")
def tags(source: sqlite3.Row, _: Context) -> dict[str, Any]:
    names = enumerate(json.loads(source["tags"]))
    return {"edges": [{"node": {"id": ids.encode("Tag", i), "name": name}} for i, name in names]}


@_both("aliases")
def aliases(
    source: sqlite3.Row, context: Context, after: str | None = None, first: int | None = None
) -> dict[str, Any]:
    rows = context.db.execute("SELECT * FROM aliases WHERE collection_id = ? ORDER BY id", (source["id"],)).fetchall()
    return slice_page(rows, after, first)


@_both("artifacts")
def versions(
    source: sqlite3.Row, context: Context, after: str | None = None, first: int | None = None, **_: Any
) -> dict[str, Any]:
    found = slice_page(_members(context.db, source["id"]), after, first)
    for edge in found["edges"]:
        member = edge["node"]
        edge["version"] = f"v{member['version']}"
        edge["node"] = artifacts.by_id(context.db, member["artifact_id"])
    return found


@_both("artifactMembership")
def membership(source: sqlite3.Row, context: Context, aliasName: str) -> sqlite3.Row | None:
    return artifacts.membership(context.db, source["id"], aliasName)


@_both("artifactMemberships")
def memberships(
    source: sqlite3.Row, context: Context, after: str | None = None, first: int | None = None
) -> dict[str, Any]:
    return slice_page(_members(context.db, source["id"]), after, first)


@field("ArtifactSequence", "latestArtifact")
def latest_artifact(source: sqlite3.Row, context: Context) -> sqlite3.Row | None:
    member = artifacts.membership(context.db, source["id"], artifacts.LATEST)
    return None if member is None else artifacts.by_id(context.db, member["artifact_id"])


@field("ArtifactAlias", "id")
def alias_id(source: sqlite3.Row, _: Context) -> str:
    return ids.encode("ArtifactAlias", source["id"])


@field("ArtifactAlias", "artifactCollection")
@field("ArtifactCollectionMembership", "artifactCollection")
def owner(source: sqlite3.Row, context: Context) -> sqlite3.Row:
    return collection_of(context.db, source["collection_id"])


@field("ArtifactAlias", "artifactCollectionName")
def owner_name(source: sqlite3.Row, context: Context) -> Any:
    return collection_of(context.db, source["collection_id"])["name"]


@field("ArtifactCollectionMembership", "id")
def membership_id(source: sqlite3.Row, _: Context) -> str:
    return ids.encode("ArtifactCollectionMembership", source["id"])


@field("ArtifactCollectionMembership", "artifact")
def member(source: sqlite3.Row, context: Context) -> sqlite3.Row:
    return artifacts.by_id(context.db, source["artifact_id"])


@field("ArtifactCollectionMembership", "aliases")
def member_aliases(source: sqlite3.Row, context: Context) -> list[sqlite3.Row]:
    return context.db.execute(
        "SELECT * FROM aliases WHERE artifact_id = ? AND collection_id = ? ORDER BY id",
        (source["artifact_id"], source["collection_id"]),
    ).fetchall()


@field("ArtifactCollectionMembership", "files")
def member_files(
    source: sqlite3.Row,
    context: Context,
    names: list[str] | None = None,
    after: str | None = None,
    first: int | None = None,
) -> dict[str, Any]:
    return file_page(context, source["artifact_id"], names, after, first)


# Changes


def _named(context: Context, entity: str | None, project_name: str | None, name: str) -> sqlite3.Row:
    project_row = projects.find(context.db, entity or context.entity, project_name or "")
    row = None if project_row is None else artifacts.collection(context.db, project_row["id"], name)
    if row is None:
        raise NotFound(f"no artifact collection {name[:100]!r} in {entity}/{project_name}")
    return row


@mutation("addAliases")
def add_aliases(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    key = ids.decode("Artifact", input["artifactID"])
    for alias in input["aliases"]:
        row = _named(context, alias["entityName"], alias["projectName"], alias["artifactCollectionName"])
        artifacts.set_aliases(context.db, row["id"], key, [alias["alias"]])
    return {"success": True}


@mutation("deleteAliases")
def delete_aliases(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    key = ids.decode("Artifact", input["artifactID"])
    for alias in input["aliases"]:
        row = _named(context, alias["entityName"], alias["projectName"], alias["artifactCollectionName"])
        artifacts.drop_aliases(context.db, row["id"], key, [alias["alias"]])
    return {"success": True}


@mutation("linkArtifact")
def link_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    db = context.db
    if input.get("artifactID"):
        artifact = artifacts.by_id(db, ids.decode("Artifact", input["artifactID"]))
    else:
        found = db.execute("SELECT * FROM artifacts WHERE client_id = ?", (input.get("clientID"),)).fetchone()
        if found is None:
            raise NotFound("the artifact to link has not been logged")
        artifact = found
    if not input.get("artifactPortfolioName"):
        raise BadRequest("a link needs the name of its collection")
    source = collection_of(db, artifact["collection_id"])
    project_row = projects.ensure(db, input.get("entityName") or context.entity, input.get("projectName") or "")
    target = artifacts.ensure_collection(
        db, project_row["id"], source["type"], input["artifactPortfolioName"], portfolio=True
    )
    if _link(db, target["id"], artifact["id"]) is None:
        artifacts.join(db, target["id"], artifact["id"])
    names = [alias["alias"] for alias in input.get("aliases") or []]
    artifacts.set_aliases(db, target["id"], artifact["id"], [artifacts.LATEST, *names])
    row = _link(db, target["id"], artifact["id"])
    assert row is not None
    return {"versionIndex": row["version"], "artifactMembership": row}


def _link(db: sqlite3.Connection, collection_id: int, artifact_id: int) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM memberships WHERE collection_id = ? AND artifact_id = ?", (collection_id, artifact_id)
    ).fetchone()
    return row


@mutation("unlinkArtifact")
def unlink_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    key = ids.decode("Artifact", input["artifactID"])
    target = ids.decode("ArtifactCollection", input["artifactPortfolioID"])
    for table in ("aliases", "memberships"):
        context.db.execute(f"DELETE FROM {table} WHERE collection_id = ? AND artifact_id = ?", (target, key))
    return {"artifactID": input["artifactID"], "success": True}


def _update(context: Context, key: int, input: dict[str, Any]) -> dict[str, Any]:
    if input.get("name") is not None:
        projects.check_name(input["name"], "the artifact name")
    context.db.execute(
        "UPDATE collections SET name = coalesce(?, name), description = coalesce(?, description),"
        " updated_at = ? WHERE id = ?",
        (input.get("name"), input.get("description"), now(), key),
    )
    return {"artifactCollection": collection_of(context.db, key)}


def _delete(context: Context, key: int) -> dict[str, Any]:
    row = collection_of(context.db, key)
    context.db.execute("DELETE FROM collections WHERE id = ?", (key,))
    return {"artifactCollection": row}


@mutation("updateArtifactSequence")
def update_sequence(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    return _update(context, ids.decode("ArtifactCollection", input["artifactSequenceID"]), input)


@mutation("updateArtifactPortfolio")
def update_portfolio(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    return _update(context, ids.decode("ArtifactCollection", input["artifactPortfolioID"]), input)


@mutation("moveArtifactSequence")
def move_sequence(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    key = ids.decode("ArtifactCollection", input["artifactSequenceID"])
    name = projects.check_name(input["destinationArtifactTypeName"], "the artifact type")
    context.db.execute("UPDATE collections SET type = ?, updated_at = ? WHERE id = ?", (name, now(), key))
    return {"artifactCollection": collection_of(context.db, key)}


@mutation("deleteArtifactSequence")
def delete_sequence(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    return _delete(context, ids.decode("ArtifactCollection", input["artifactSequenceID"]))


@mutation("deleteArtifactPortfolio")
def delete_portfolio(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    return _delete(context, ids.decode("ArtifactCollection", input["artifactPortfolioID"]))


def _set_tags(context: Context, input: dict[str, Any], add: bool) -> list[str]:
    row = _named(context, input["entityName"], input["projectName"], input["artifactCollectionName"])
    changed = [tag["tagName"] for tag in input["tags"]]
    kept = [tag for tag in json.loads(row["tags"]) if tag not in changed]
    context.db.execute(
        "UPDATE collections SET tags = ?, updated_at = ? WHERE id = ?",
        (dumps(kept + changed if add else kept), now(), row["id"]),
    )
    return changed


@mutation("createArtifactCollectionTagAssignments")
def add_tags(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    names = enumerate(_set_tags(context, input, add=True))
    return {"tags": [{"id": ids.encode("Tag", i), "name": name} for i, name in names]}


@mutation("deleteArtifactCollectionTagAssignments")
def delete_tags(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    _set_tags(context, input, add=False)
    return {"success": True}
