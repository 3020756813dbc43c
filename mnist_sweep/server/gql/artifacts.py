"""Artifacts: versions, their manifests and files."""

import json
from typing import Any

from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.gql import ids, nodes
from mnist_sweep.server.gql.connection import slice_page
from mnist_sweep.server.gql.projects import authorize_writer, named, named_run
from mnist_sweep.server.gql.registry import Context, constants, field, fields, listing, listings, mutation
from mnist_sweep.server.store import artifacts, collections, manifests, projects
from mnist_sweep.server.store.rows import Artifact, ArtifactFile, Collection, Manifest, Project, Run
from mnist_sweep.server.wire_json import as_object, dumps

constants("Artifact", ttlIsInherited=False, commitHash=None, labels=None)
fields(
    Artifact,
    ttlDurationSeconds=lambda row, _: row.ttl_seconds or -1,  # the client reads any number below 1 as "never deleted"
    tags=lambda row, _: nodes.tags(json.loads(row.tags)),
    aliases=lambda row, context: collections.aliases(context.db, artifact_id=row.id),
    artifactType=lambda row, context: Collection.by_id(context.db, row.collection_id),
    artifactSequence=lambda row, context: Collection.by_id(context.db, row.collection_id),
    currentManifest=lambda row, context: manifests.find(context.db, row.id),
    createdBy=lambda row, context: None if row.run_id is None else Run.by_id(context.db, row.run_id),
)
fields(Manifest, "ArtifactManifest", file=lambda row, _: row)
listings(
    Artifact,
    length=10_000,
    artifactMemberships=lambda row, context: collections.memberships(context.db, row.id),
    usedBy=lambda row, context: artifacts.users_of(context.db, row.id),
)
listings(
    Run,
    inputArtifacts=lambda row, context: artifacts.used_by(context.db, row.id),
    outputArtifacts=lambda row, context: artifacts.made_by(context.db, row.id),
)


@field("Query", "artifact")
def by_id(_: None, context: Context, id: str) -> Artifact | None:
    return Artifact.first(context.db, "WHERE id = ?", ids.decode("Artifact", id))


@field("Query", "clientIDMapping")
def client_id_mapping(_: None, context: Context, clientID: str) -> dict[str, Any] | None:
    row = artifacts.by_client_id(context.db, clientID)
    return None if row is None else {"serverID": ids.encode("Artifact", row.id)}


@field("Project", "artifact")
def project_artifact(source: Project, context: Context, name: str) -> Artifact | None:
    member = collections.find_member(context.db, source.id, name)
    return None if member is None else Artifact.by_id(context.db, member.artifact_id)


@field("Artifact", "versionIndex")
def version_index(source: Artifact, context: Context) -> int | None:
    place = collections.place(context.db, source.collection_id, source.id)
    return None if place is None else place.version


@listing("Artifact", "files")
def artifact_files(source: Artifact, context: Context, names: list[str] | None = None) -> list[ArtifactFile]:
    return artifacts.files(context.db, source.id, names)


@field("Artifact", "filesByManifestEntries")
def files_by_manifest_entries(
    source: Artifact,
    context: Context,
    entries: list[dict[str, Any]] | None = None,
    after: str | None = None,
    first: int | None = None,
    **_: Any,
) -> dict[str, Any]:
    names = [entry["name"] for entry in entries or [] if entry.get("name")]
    return slice_page(artifacts.files(context.db, source.id, names or None), after, len(names) or first)


# Changes


@mutation("createArtifact")
def create_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    db = context.db
    project = projects.ensure(db, *named(context, input))
    name = input.get("artifactCollectionName") or next(iter(input.get("artifactCollectionNames") or []), None)
    if not name:
        raise BadRequest("an artifact needs the name of its collection")
    collection = collections.ensure(db, project.id, input["artifactTypeName"], name)
    run = Run.find(db, project.id, input.get("runName") or "")
    key = artifacts.create(
        db,
        collection.id,
        digest=input["digest"],
        reuse=bool(input.get("enableDigestDeduplication")) or not input.get("clientID"),
        aliases=[alias["alias"] for alias in input.get("aliases") or []],
        tags=[tag["tagName"] for tag in input.get("tags") or []],
        digest_algorithm=input.get("digestAlgorithm"),
        description=input.get("description"),
        metadata=dumps(as_object(input.get("metadata"), "metadata")),
        ttl_seconds=input.get("ttlDurationSeconds"),
        history_step=input.get("historyStep"),
        client_id=input.get("clientID"),
        distributed_id=input.get("distributedID"),
        run_id=None if run is None else authorize_writer(context, run).id,
    )
    return {"artifact": Artifact.by_id(db, key)}


@mutation("createArtifactManifest")
def create_artifact_manifest(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    key = artifacts.put_manifest(
        context.db,
        ids.decode("Artifact", input["artifactID"]),
        input["name"],
        input.get("digest"),
        input.get("type") or "FULL",
    )
    return {"artifactManifest": Manifest.by_id(context.db, key)}


@mutation("updateArtifactManifest")
def update_artifact_manifest(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    row = Manifest.by_id(context.db, ids.decode("ArtifactManifest", input["artifactManifestID"]))
    artifacts.update_manifest(context.db, row, input.get("digest"))
    return {"artifactManifest": Manifest.by_id(context.db, row.id)}


@mutation("createArtifactFiles")
def create_artifact_files(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    files = [
        artifacts.announce_file(context.db, ids.decode("Artifact", file["artifactID"]), file["name"], file["md5"])
        for file in input["artifactFiles"]
    ]
    return {"files": slice_page(files, None, 10_000)}


@mutation("commitArtifact")
def commit_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    key = ids.decode("Artifact", input["artifactID"])
    artifacts.commit(context.db, context.store.blobs, key)
    return {"artifact": Artifact.by_id(context.db, key)}


@mutation("updateArtifact")
def update_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    row = Artifact.by_id(context.db, ids.decode("Artifact", input["artifactID"]))
    tags = json.loads(row.tags) + [tag["tagName"] for tag in input.get("tagsToAdd") or []]
    dropped = {tag["tagName"] for tag in input.get("tagsToDelete") or []}
    metadata = input.get("metadata")
    artifacts.update(
        context.db,
        row.id,
        tags=[tag for tag in dict.fromkeys(tags) if tag not in dropped],
        description=input.get("description"),
        metadata=None if metadata is None else dumps(as_object(metadata, "metadata")),
        ttl_seconds=input.get("ttlDurationSeconds"),
    )
    return {"artifact": Artifact.by_id(context.db, row.id)}


@mutation("deleteArtifact")
def delete_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    row = Artifact.by_id(context.db, ids.decode("Artifact", input["artifactID"]))
    artifacts.delete(context.db, row.id, with_aliases=bool(input.get("deleteAliases")))
    return {"artifact": row}


@mutation("useArtifact")
def use_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    run = named_run(context, input)
    row = Artifact.by_id(context.db, ids.decode("Artifact", input["artifactID"]))
    artifacts.use(context.db, run.id, row.id)
    return {"artifact": row}
