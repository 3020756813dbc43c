"""Artifacts: versions, their manifests and files."""

import sqlite3
from typing import Any

from mnist_sweep.server.errors import BadRequest, NotFound
from mnist_sweep.server.gql import ids, nodes
from mnist_sweep.server.gql.connection import slice_page
from mnist_sweep.server.gql.projects import authorize_writer, named, named_run
from mnist_sweep.server.gql.registry import Context, columns, constants, field, identified, mutation
from mnist_sweep.server.store import artifacts, collections, manifests, projects, runs
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.wire_json import as_object, dumps

identified("Artifact", "ArtifactManifest")
columns(
    "Artifact",
    state="state",
    digest="digest",
    digestAlgorithm="digest_algorithm",
    description="description",
    metadata="metadata",
    historyStep="history_step",
    size="size",
    fileCount="file_count",
    createdAt="created_at",
    updatedAt="updated_at",
)
constants("Artifact", ttlIsInherited=False, commitHash=None, labels=None)
columns("ArtifactManifest", digest="digest")


@field("Query", "artifact")
def by_id(_: None, context: Context, id: str) -> sqlite3.Row | None:
    try:
        return artifacts.by_id(context.db, ids.decode("Artifact", id))
    except NotFound:
        return None


@field("Query", "clientIDMapping")
def client_id_mapping(_: None, context: Context, clientID: str) -> dict[str, Any] | None:
    row = artifacts.by_client_id(context.db, clientID)
    return None if row is None else {"serverID": ids.encode("Artifact", row["id"])}


@field("Project", "artifact")
def project_artifact(source: sqlite3.Row, context: Context, name: str) -> sqlite3.Row | None:
    member = collections.find_member(context.db, source["id"], name)
    return None if member is None else artifacts.by_id(context.db, member["artifact_id"])


@field("Artifact", "versionIndex")
def version_index(source: sqlite3.Row, context: Context) -> int | None:
    place = collections.place(context.db, source["collection_id"], source["id"])
    return None if place is None else int(place["version"])


@field("Artifact", "ttlDurationSeconds")
def ttl(source: sqlite3.Row, _: Context) -> int:
    return source["ttl_seconds"] or -1  # the client reads any number below 1 as "never deleted"


@field("Artifact", "tags")
def artifact_tags(source: sqlite3.Row, _: Context) -> list[dict[str, str]]:
    return nodes.tags(collections.tags(source))


@field("Artifact", "aliases")
def aliases(source: sqlite3.Row, context: Context) -> list[sqlite3.Row]:
    return collections.aliases(context.db, artifact_id=source["id"])


@field("Artifact", "artifactType")
def artifact_type(source: sqlite3.Row, context: Context) -> dict[str, Any]:
    return nodes.artifact_type(collections.by_id(context.db, source["collection_id"]))


@field("Artifact", "artifactSequence")
def artifact_sequence(source: sqlite3.Row, context: Context) -> sqlite3.Row:
    return collections.by_id(context.db, source["collection_id"])


@field("Artifact", "artifactMemberships")
def artifact_memberships(source: sqlite3.Row, context: Context) -> dict[str, Any]:
    return slice_page(collections.memberships(context.db, source["id"]), None, 10_000)


@field("Artifact", "currentManifest")
def current_manifest(source: sqlite3.Row, context: Context) -> sqlite3.Row | None:
    return manifests.find(context.db, source["id"])


@field("Artifact", "files")
def artifact_files(
    source: sqlite3.Row,
    context: Context,
    names: list[str] | None = None,
    after: str | None = None,
    first: int | None = None,
) -> dict[str, Any]:
    return nodes.file_page(context, source["id"], names, after, first)


@field("Artifact", "filesByManifestEntries")
def files_by_manifest_entries(
    source: sqlite3.Row,
    context: Context,
    entries: list[dict[str, Any]] | None = None,
    after: str | None = None,
    first: int | None = None,
    **_: Any,
) -> dict[str, Any]:
    names = [entry["name"] for entry in entries or [] if entry.get("name")]
    return nodes.file_page(context, source["id"], names or None, after, len(names) or first)


@field("Artifact", "usedBy")
def used_by(source: sqlite3.Row, context: Context) -> dict[str, Any]:
    return slice_page(artifacts.users_of(context.db, source["id"]), None, 10_000)


@field("Artifact", "createdBy")
def created_by(source: sqlite3.Row, context: Context) -> sqlite3.Row | None:
    return None if source["run_id"] is None else runs.by_id(context.db, source["run_id"])


@field("Run", "inputArtifacts")
def input_artifacts(
    source: sqlite3.Row, context: Context, after: str | None = None, first: int | None = None
) -> dict[str, Any]:
    return slice_page(artifacts.used_by(context.db, source["id"]), after, first)


@field("Run", "outputArtifacts")
def output_artifacts(
    source: sqlite3.Row, context: Context, after: str | None = None, first: int | None = None
) -> dict[str, Any]:
    return slice_page(artifacts.made_by(context.db, source["id"]), after, first)


@field("ArtifactManifest", "file")
def manifest_file(source: sqlite3.Row, context: Context) -> dict[str, Any]:
    links = context.signed_urls
    return {
        **dict(source),
        "updated_at": now(),
        "uploadUrl": links.upload("manifest", source),
        "directUrl": links.download("manifest", source) if source["blob"] else None,
        "uploadHeaders": [],
    }


# Changes


@mutation("createArtifact")
def create_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    db = context.db
    project = projects.ensure(db, *named(context, input))
    name = input.get("artifactCollectionName") or next(iter(input.get("artifactCollectionNames") or []), None)
    if not name:
        raise BadRequest("an artifact needs the name of its collection")
    collection = collections.ensure(db, project["id"], input["artifactTypeName"], name)
    run = runs.find(db, project["id"], input.get("runName") or "")
    key = artifacts.create(
        db,
        collection["id"],
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
        run_id=None if run is None else authorize_writer(context, run)["id"],
    )
    return {"artifact": artifacts.by_id(db, key)}


@mutation("createArtifactManifest")
def create_artifact_manifest(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    key = artifacts.put_manifest(
        context.db,
        ids.decode("Artifact", input["artifactID"]),
        input["name"],
        input.get("digest"),
        input.get("type") or "FULL",
    )
    return {"artifactManifest": manifests.by_id(context.db, key)}


@mutation("updateArtifactManifest")
def update_artifact_manifest(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    row = manifests.by_id(context.db, ids.decode("ArtifactManifest", input["artifactManifestID"]))
    artifacts.update_manifest(context.db, row, input.get("digest"))
    return {"artifactManifest": manifests.by_id(context.db, row["id"])}


@mutation("createArtifactFiles")
def create_artifact_files(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    files = []
    for wanted in input["artifactFiles"]:
        key = ids.decode("Artifact", wanted["artifactID"])
        row = artifacts.announce_file(context.db, key, wanted["name"], wanted["md5"])
        link = None if row["blob"] else context.signed_urls.upload("artifact-file", row)
        files.append(
            {
                **dict(row),
                "updated_at": now(),
                "uploadUrl": link,
                "uploadHeaders": [],
                "storagePath": row["name"],
                "artifact": artifacts.by_id(context.db, key),
            }
        )
    return {"files": slice_page(files, None, 10_000)}


@mutation("commitArtifact")
def commit_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    key = ids.decode("Artifact", input["artifactID"])
    artifacts.commit(context.db, context.store.blobs, key)
    return {"artifact": artifacts.by_id(context.db, key)}


@mutation("updateArtifact")
def update_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    row = artifacts.by_id(context.db, ids.decode("Artifact", input["artifactID"]))
    tags = collections.tags(row) + [tag["tagName"] for tag in input.get("tagsToAdd") or []]
    dropped = {tag["tagName"] for tag in input.get("tagsToDelete") or []}
    metadata = input.get("metadata")
    artifacts.update(
        context.db,
        row["id"],
        tags=[tag for tag in dict.fromkeys(tags) if tag not in dropped],
        description=input.get("description"),
        metadata=None if metadata is None else dumps(as_object(metadata, "metadata")),
        ttl_seconds=input.get("ttlDurationSeconds"),
    )
    return {"artifact": artifacts.by_id(context.db, row["id"])}


@mutation("deleteArtifact")
def delete_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    row = artifacts.by_id(context.db, ids.decode("Artifact", input["artifactID"]))
    artifacts.delete(context.db, row["id"], with_aliases=bool(input.get("deleteAliases")))
    return {"artifact": row}


@mutation("useArtifact")
def use_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    run = named_run(context, input)
    row = artifacts.by_id(context.db, ids.decode("Artifact", input["artifactID"]))
    artifacts.use(context.db, run["id"], row["id"])
    return {"artifact": row}
