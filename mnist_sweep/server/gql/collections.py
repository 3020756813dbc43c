"""Artifact collections: sequences, to which versions belong, and portfolios, which link to versions."""

import json
from typing import Any

from mnist_sweep.server.errors import BadRequest, NotFound
from mnist_sweep.server.gql import ids, nodes
from mnist_sweep.server.gql.connection import slice_page
from mnist_sweep.server.gql.projects import named
from mnist_sweep.server.gql.registry import Context, columns, constants, field, fields, listing, listings, mutation
from mnist_sweep.server.store import artifacts, collections, projects
from mnist_sweep.server.store.rows import Alias, Artifact, ArtifactFile, Collection, Membership, Project

constants("ArtifactSequence", state="READY")
constants("ArtifactPortfolio", state="READY")
constants("ArtifactType", description=None)
columns("ArtifactType", name="type")
columns("ArtifactCollectionMembership", versionIndex="version")
_KINDS = ("ArtifactSequence", "ArtifactPortfolio")
fields(
    Collection,
    *_KINDS,
    id=lambda row, _: ids.encode("ArtifactCollection", row.id),
    defaultArtifactType=lambda row, _: row,
    tags=lambda row, _: {"edges": [{"node": tag} for tag in nodes.tags(json.loads(row.tags))]},
)
listings(
    Collection,
    *_KINDS,
    aliases=lambda row, context: collections.aliases(context.db, collection_id=row.id),
    artifactMemberships=lambda row, context: collections.members(context.db, row.id),
)
listings(Project, artifactTypes=lambda row, context: collections.types(context.db, row.id))


@field("Query", "artifactCollection")
def by_id(_: None, context: Context, id: str) -> Collection | None:
    return Collection.first(context.db, "WHERE id = ?", ids.decode("ArtifactCollection", id))


@field("Project", "artifactType")
def artifact_type(source: Project, context: Context, name: str) -> Collection | None:
    return next((row for row in collections.types(context.db, source.id) if row.type == name), None)


@field("Project", "artifactCollection")
def project_collection(source: Project, context: Context, name: str) -> Collection | None:
    return Collection.find(context.db, source.id, name)


@listing("Project", "artifactCollections")
def project_collections(source: Project, context: Context, **_: Any) -> list[Collection]:
    return collections.listing(context.db, source.id)


# An artifact type is shown by a collection of that type.


@field("ArtifactType", "artifactCollection")
def type_collection(source: Collection, context: Context, name: str) -> Collection | None:
    row = Collection.find(context.db, source.project_id, name)
    return row if row is not None and row.type == source.type else None


@listing("ArtifactType", "artifactCollections")
def type_collections(source: Collection, context: Context, **_: Any) -> list[Collection]:
    return collections.listing(context.db, source.project_id, source.type)


@field("Project", "artifactCollectionMembership")
def collection_membership(source: Project, context: Context, name: str) -> Membership | None:
    return collections.find_member(context.db, source.id, name)


@field("ArtifactSequence", "artifacts")
@field("ArtifactPortfolio", "artifacts")
def versions(
    source: Collection,
    context: Context,
    after: str | None = None,
    first: int | None = None,
    order: str | None = None,
    filters: str | None = None,
) -> dict[str, Any]:
    found = slice_page(collections.members(context.db, source.id, filters, order), after, first)
    for edge in found["edges"]:
        member = edge["node"]
        edge["version"] = f"v{member.version}"
        edge["node"] = Artifact.by_id(context.db, member.artifact_id)
    return found


@field("ArtifactSequence", "artifactMembership")
@field("ArtifactPortfolio", "artifactMembership")
def membership(source: Collection, context: Context, aliasName: str) -> Membership | None:
    return collections.member(context.db, source.id, aliasName)


@field("ArtifactSequence", "latestArtifact")
def latest_artifact(source: Collection, context: Context) -> Artifact | None:
    member = collections.member(context.db, source.id, collections.LATEST)
    return None if member is None else Artifact.by_id(context.db, member.artifact_id)


@field("ArtifactAlias", "artifactCollection")
@field("ArtifactCollectionMembership", "artifactCollection")
def owner(source: Alias | Membership, context: Context) -> Collection:
    return Collection.by_id(context.db, source.collection_id)


@field("ArtifactAlias", "artifactCollectionName")
def owner_name(source: Alias, context: Context) -> str:
    return owner(source, context).name


@field("ArtifactCollectionMembership", "artifact")
def member(source: Membership, context: Context) -> Artifact:
    return Artifact.by_id(context.db, source.artifact_id)


@field("ArtifactCollectionMembership", "aliases")
def member_aliases(source: Membership, context: Context) -> list[Alias]:
    return collections.aliases(context.db, collection_id=source.collection_id, artifact_id=source.artifact_id)


@listing("ArtifactCollectionMembership", "files")
def member_files(source: Membership, context: Context, names: list[str] | None = None) -> list[ArtifactFile]:
    return artifacts.files(context.db, source.artifact_id, names)


# Changes


def _key(text: str) -> int:
    return ids.decode("ArtifactCollection", text)


def _named(context: Context, input: dict[str, Any]) -> Collection:
    return Collection.get(context.db, *named(context, input), input["artifactCollectionName"])


@mutation("addAliases")
def add_aliases(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    key = ids.decode("Artifact", input["artifactID"])
    for alias in input["aliases"]:
        collections.set_aliases(context.db, _named(context, alias).id, key, [alias["alias"]])
    return {"success": True}


@mutation("deleteAliases")
def delete_aliases(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    key = ids.decode("Artifact", input["artifactID"])
    for alias in input["aliases"]:
        collections.drop_aliases(context.db, _named(context, alias).id, key, [alias["alias"]])
    return {"success": True}


@mutation("linkArtifact")
def link_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    db = context.db
    if input.get("artifactID"):
        artifact = Artifact.by_id(db, ids.decode("Artifact", input["artifactID"]))
    elif (found := artifacts.by_client_id(db, input.get("clientID") or "")) is not None:
        artifact = found
    else:
        raise NotFound("the artifact to link has not been logged")
    if not input.get("artifactPortfolioName"):
        raise BadRequest("a link needs the name of its collection")
    source = Collection.by_id(db, artifact.collection_id)
    project = projects.ensure(db, *named(context, input))
    name = input["artifactPortfolioName"]
    target = collections.ensure(db, project.id, source.type, name, portfolio=True)
    if collections.place(db, target.id, artifact.id) is None:
        collections.join(db, target.id, artifact.id)
    names = [alias["alias"] for alias in input.get("aliases") or []]
    collections.set_aliases(db, target.id, artifact.id, [collections.LATEST, *names])
    row = collections.place(db, target.id, artifact.id)
    assert row is not None
    return {"versionIndex": row.version, "artifactMembership": row}


@mutation("unlinkArtifact")
def unlink_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    target = _key(input["artifactPortfolioID"])
    collections.leave(context.db, target, ids.decode("Artifact", input["artifactID"]))
    return {"artifactID": input["artifactID"], "success": True}


for kind in ("Sequence", "Portfolio"):

    @mutation(f"updateArtifact{kind}")
    def update(context: Context, input: dict[str, Any], key: str = f"artifact{kind}ID") -> dict[str, Any]:
        new = {name: input.get(name) for name in ("name", "description")}
        return {"artifactCollection": collections.update(context.db, _key(input[key]), **new)}

    @mutation(f"deleteArtifact{kind}")
    def delete(context: Context, input: dict[str, Any], key: str = f"artifact{kind}ID") -> dict[str, Any]:
        row = Collection.by_id(context.db, _key(input[key]))
        Collection.delete(context.db, row.id)
        return {"artifactCollection": row}


@mutation("moveArtifactSequence")
def move_sequence(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    key = _key(input["artifactSequenceID"])
    row = collections.update(context.db, key, type_name=input["destinationArtifactTypeName"])
    return {"artifactCollection": row}


@mutation("createArtifactCollectionTagAssignments")
def add_tags(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    row = _named(context, input)
    added = [tag["tagName"] for tag in input["tags"]]
    collections.update(context.db, row.id, tags=list(dict.fromkeys(json.loads(row.tags) + added)))
    return {"tags": nodes.tags(added)}


@mutation("deleteArtifactCollectionTagAssignments")
def delete_tags(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    row = _named(context, input)
    dropped = {tag["tagName"] for tag in input["tags"]}
    kept = [tag for tag in json.loads(row.tags) if tag not in dropped]
    collections.update(context.db, row.id, tags=kept)
    return {"success": True}
