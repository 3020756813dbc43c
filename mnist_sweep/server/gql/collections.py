"""Artifact collections: sequences, to which versions belong, and portfolios, which link to versions."""

import sqlite3
from collections.abc import Callable
from typing import Any

from mnist_sweep.server.errors import BadRequest, NotFound
from mnist_sweep.server.gql import ids, nodes
from mnist_sweep.server.gql.connection import slice_page
from mnist_sweep.server.gql.projects import named
from mnist_sweep.server.gql.registry import AnyResolver, Context, columns, constants, field, identified, mutation
from mnist_sweep.server.store import artifacts, collections, projects

KINDS = ("ArtifactSequence", "ArtifactPortfolio")

for kind in KINDS:
    columns(kind, name="name", description="description", createdAt="created_at", updatedAt="updated_at")
    constants(kind, state="READY")
identified("ArtifactAlias", "ArtifactCollectionMembership")
columns("ArtifactAlias", alias="alias")
columns("ArtifactCollectionMembership", versionIndex="version", createdAt="created_at")


def _both(name: str) -> Callable[[AnyResolver], AnyResolver]:
    """Register a resolver for a field of both kinds of collection."""

    def register(resolver: AnyResolver) -> AnyResolver:
        for kind in KINDS:
            field(kind, name)(resolver)
        return resolver

    return register


@field("Query", "artifactCollection")
def by_id(_: None, context: Context, id: str) -> sqlite3.Row | None:
    try:
        return collections.by_id(context.db, ids.decode("ArtifactCollection", id))
    except NotFound:
        return None


@field("Project", "artifactType")
def artifact_type(source: sqlite3.Row, context: Context, name: str) -> dict[str, Any] | None:
    found = (row for row in collections.types(context.db, source["id"]) if row["type"] == name)
    return next(map(nodes.artifact_type, found), None)


@field("Project", "artifactTypes")
def artifact_types(
    source: sqlite3.Row, context: Context, after: str | None = None, first: int | None = None
) -> dict[str, Any]:
    found = collections.types(context.db, source["id"])
    return slice_page([nodes.artifact_type(row) for row in found], after, first)


@field("Project", "artifactCollection")
def project_collection(source: sqlite3.Row, context: Context, name: str) -> sqlite3.Row | None:
    return collections.find(context.db, source["id"], name)


@field("ArtifactType", "artifactCollection")
def type_collection(source: dict[str, Any], context: Context, name: str) -> sqlite3.Row | None:
    row = collections.find(context.db, source["project_id"], name)
    return row if row is not None and row["type"] == source["name"] else None


@field("Project", "artifactCollections")
def project_collections(
    source: sqlite3.Row, context: Context, after: str | None = None, first: int | None = None, **_: Any
) -> dict[str, Any]:
    return slice_page(collections.listing(context.db, source["id"]), after, first)


@field("ArtifactType", "artifactCollections")
def type_collections(
    source: dict[str, Any], context: Context, after: str | None = None, first: int | None = None, **_: Any
) -> dict[str, Any]:
    return slice_page(collections.listing(context.db, source["project_id"], source["name"]), after, first)


@field("Project", "artifactCollectionMembership")
def collection_membership(source: sqlite3.Row, context: Context, name: str) -> sqlite3.Row | None:
    return collections.find_member(context.db, source["id"], name)


@_both("id")
def collection_id(source: sqlite3.Row, _: Context) -> str:
    return ids.encode("ArtifactCollection", source["id"])


@_both("defaultArtifactType")
def default_type(source: sqlite3.Row, _: Context) -> dict[str, Any]:
    return nodes.artifact_type(source)


@_both("tags")
def tags(source: sqlite3.Row, _: Context) -> dict[str, Any]:
    return {"edges": [{"node": tag} for tag in nodes.tags(collections.tags(source))]}


@_both("aliases")
def aliases(
    source: sqlite3.Row, context: Context, after: str | None = None, first: int | None = None
) -> dict[str, Any]:
    return slice_page(collections.aliases(context.db, collection_id=source["id"]), after, first)


@_both("artifacts")
def versions(
    source: sqlite3.Row,
    context: Context,
    after: str | None = None,
    first: int | None = None,
    order: str | None = None,
    filters: str | None = None,
) -> dict[str, Any]:
    found = slice_page(collections.members(context.db, source["id"], filters, order), after, first)
    for edge in found["edges"]:
        member = edge["node"]
        edge["version"] = f"v{member['version']}"
        edge["node"] = artifacts.by_id(context.db, member["artifact_id"])
    return found


@_both("artifactMembership")
def membership(source: sqlite3.Row, context: Context, aliasName: str) -> sqlite3.Row | None:
    return collections.member(context.db, source["id"], aliasName)


@_both("artifactMemberships")
def memberships(
    source: sqlite3.Row, context: Context, after: str | None = None, first: int | None = None
) -> dict[str, Any]:
    return slice_page(collections.members(context.db, source["id"]), after, first)


@field("ArtifactSequence", "latestArtifact")
def latest_artifact(source: sqlite3.Row, context: Context) -> sqlite3.Row | None:
    member = collections.member(context.db, source["id"], collections.LATEST)
    return None if member is None else artifacts.by_id(context.db, member["artifact_id"])


@field("ArtifactAlias", "artifactCollection")
@field("ArtifactCollectionMembership", "artifactCollection")
def owner(source: sqlite3.Row, context: Context) -> sqlite3.Row:
    return collections.by_id(context.db, source["collection_id"])


@field("ArtifactAlias", "artifactCollectionName")
def owner_name(source: sqlite3.Row, context: Context) -> Any:
    return owner(source, context)["name"]


@field("ArtifactCollectionMembership", "artifact")
def member(source: sqlite3.Row, context: Context) -> sqlite3.Row:
    return artifacts.by_id(context.db, source["artifact_id"])


@field("ArtifactCollectionMembership", "aliases")
def member_aliases(source: sqlite3.Row, context: Context) -> list[sqlite3.Row]:
    return collections.aliases(context.db, collection_id=source["collection_id"], artifact_id=source["artifact_id"])


@field("ArtifactCollectionMembership", "files")
def member_files(
    source: sqlite3.Row,
    context: Context,
    names: list[str] | None = None,
    after: str | None = None,
    first: int | None = None,
) -> dict[str, Any]:
    return nodes.file_page(context, source["artifact_id"], names, after, first)


# Changes


def _named(context: Context, input: dict[str, Any]) -> sqlite3.Row:
    return collections.get(context.db, *named(context, input), input["artifactCollectionName"])


@mutation("addAliases")
def add_aliases(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    key = ids.decode("Artifact", input["artifactID"])
    for alias in input["aliases"]:
        collections.set_aliases(context.db, _named(context, alias)["id"], key, [alias["alias"]])
    return {"success": True}


@mutation("deleteAliases")
def delete_aliases(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    key = ids.decode("Artifact", input["artifactID"])
    for alias in input["aliases"]:
        collections.drop_aliases(context.db, _named(context, alias)["id"], key, [alias["alias"]])
    return {"success": True}


@mutation("linkArtifact")
def link_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    db = context.db
    if input.get("artifactID"):
        artifact = artifacts.by_id(db, ids.decode("Artifact", input["artifactID"]))
    elif (found := artifacts.by_client_id(db, input.get("clientID") or "")) is not None:
        artifact = found
    else:
        raise NotFound("the artifact to link has not been logged")
    if not input.get("artifactPortfolioName"):
        raise BadRequest("a link needs the name of its collection")
    source = collections.by_id(db, artifact["collection_id"])
    project = projects.ensure(db, *named(context, input))
    name = input["artifactPortfolioName"]
    target = collections.ensure(db, project["id"], source["type"], name, portfolio=True)
    if collections.place(db, target["id"], artifact["id"]) is None:
        collections.join(db, target["id"], artifact["id"])
    names = [alias["alias"] for alias in input.get("aliases") or []]
    collections.set_aliases(db, target["id"], artifact["id"], [collections.LATEST, *names])
    row = collections.place(db, target["id"], artifact["id"])
    assert row is not None
    return {"versionIndex": row["version"], "artifactMembership": row}


@mutation("unlinkArtifact")
def unlink_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    target = ids.decode("ArtifactCollection", input["artifactPortfolioID"])
    collections.leave(context.db, target, ids.decode("Artifact", input["artifactID"]))
    return {"artifactID": input["artifactID"], "success": True}


def _change(kind: str) -> None:
    """Register the mutations that update and delete a collection of this kind."""

    def key(input: dict[str, Any]) -> int:
        return ids.decode("ArtifactCollection", input[f"artifact{kind}ID"])

    @mutation(f"updateArtifact{kind}")
    def update(context: Context, input: dict[str, Any]) -> dict[str, Any]:
        new = {name: input.get(name) for name in ("name", "description")}
        return {"artifactCollection": collections.update(context.db, key(input), **new)}

    @mutation(f"deleteArtifact{kind}")
    def delete(context: Context, input: dict[str, Any]) -> dict[str, Any]:
        return {"artifactCollection": collections.delete(context.db, key(input))}


_change("Sequence")
_change("Portfolio")


@mutation("moveArtifactSequence")
def move_sequence(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    key = ids.decode("ArtifactCollection", input["artifactSequenceID"])
    row = collections.update(context.db, key, type_name=input["destinationArtifactTypeName"])
    return {"artifactCollection": row}


@mutation("createArtifactCollectionTagAssignments")
def add_tags(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    row = _named(context, input)
    added = [tag["tagName"] for tag in input["tags"]]
    collections.update(context.db, row["id"], tags=list(dict.fromkeys(collections.tags(row) + added)))
    return {"tags": nodes.tags(added)}


@mutation("deleteArtifactCollectionTagAssignments")
def delete_tags(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    row = _named(context, input)
    dropped = {tag["tagName"] for tag in input["tags"]}
    kept = [tag for tag in collections.tags(row) if tag not in dropped]
    collections.update(context.db, row["id"], tags=kept)
    return {"success": True}
