"""Artifacts: versions, their manifests and files."""

import json
import sqlite3
from typing import Any

from mnist_sweep.server.gql import ids
from mnist_sweep.server.gql.connection import slice_page
from mnist_sweep.server.gql.projects import UNNAMED, wanted_run
from mnist_sweep.server.gql.registry import Context, columns, constants, field, mutation
from mnist_sweep.server.jsonedge import as_object, dumps
from mnist_sweep.server.store import artifacts, projects, runs
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.errors import BadRequest, NotFound

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


def type_name(value: Any) -> str:
    """Which GraphQL type a row is, where the schema leaves it open."""
    if isinstance(value, sqlite3.Row):
        if "portfolio" in value.keys():  # noqa: SIM118 (a row iterates over its values)
            return "ArtifactPortfolio" if value["portfolio"] else "ArtifactSequence"
        return "Run"
    return "User"


def collection_of(db: sqlite3.Connection, collection_id: int) -> sqlite3.Row:
    row: sqlite3.Row = db.execute("SELECT * FROM collections WHERE id = ?", (collection_id,)).fetchone()
    return row


def version_of(db: sqlite3.Connection, artifact: sqlite3.Row) -> int | None:
    row = db.execute(
        "SELECT version FROM memberships WHERE artifact_id = ? AND collection_id = ?",
        (artifact["id"], artifact["collection_id"]),
    ).fetchone()
    return None if row is None else int(row[0])


def file_node(context: Context, row: sqlite3.Row) -> dict[str, Any]:
    """A GraphQL `File` for an artifact's file; references have their own address."""
    link = row["ref"] or context.links.download("artifact-file", row["id"], row["name"])
    return {**dict(row), "directUrl": link, "updated_at": now(), "storagePath": row["name"]}


def file_page(
    context: Context, artifact_id: int, names: list[str] | None, after: str | None, first: int | None
) -> dict[str, Any]:
    rows = slice_page(artifacts.files(context.db, artifact_id, names), after, first)
    for edge in rows["edges"]:
        edge["node"] = file_node(context, edge["node"])
    return rows


@field("Query", "artifact")
def by_id(_: None, context: Context, id: str) -> sqlite3.Row | None:
    try:
        return artifacts.by_id(context.db, ids.decode("Artifact", id))
    except NotFound:
        return None


@field("Query", "clientIDMapping")
def client_id_mapping(_: None, context: Context, clientID: str) -> dict[str, Any] | None:
    row = context.db.execute("SELECT id FROM artifacts WHERE client_id = ? ORDER BY id DESC", (clientID,)).fetchone()
    return None if row is None else {"serverID": ids.encode("Artifact", row[0])}


@field("Project", "artifact")
def project_artifact(source: sqlite3.Row, context: Context, name: str) -> sqlite3.Row | None:
    member = artifacts.find(context.db, source["id"], name)
    return None if member is None else artifacts.by_id(context.db, member["artifact_id"])


@field("Artifact", "id")
def artifact_id(source: sqlite3.Row, _: Context) -> str:
    return ids.encode("Artifact", source["id"])


@field("Artifact", "versionIndex")
def version_index(source: sqlite3.Row, context: Context) -> int | None:
    return version_of(context.db, source)


@field("Artifact", "ttlDurationSeconds")
def ttl(source: sqlite3.Row, _: Context) -> int:
    return source["ttl_seconds"] or -1  # the client takes anything below one as: kept for ever


@field("Artifact", "tags")
def artifact_tags(source: sqlite3.Row, _: Context) -> list[dict[str, str]]:
    return [{"id": ids.encode("Tag", i), "name": name} for i, name in enumerate(json.loads(source["tags"]))]


@field("Artifact", "aliases")
def aliases(source: sqlite3.Row, context: Context) -> list[sqlite3.Row]:
    return context.db.execute("SELECT * FROM aliases WHERE artifact_id = ? ORDER BY id", (source["id"],)).fetchall()


@field("Artifact", "artifactType")
def artifact_type(source: sqlite3.Row, context: Context) -> Any:
    from mnist_sweep.server.gql.collections import type_node

    return type_node(collection_of(context.db, source["collection_id"]))


@field("Artifact", "artifactSequence")
def artifact_sequence(source: sqlite3.Row, context: Context) -> sqlite3.Row:
    return collection_of(context.db, source["collection_id"])


@field("Artifact", "artifactMemberships")
def artifact_memberships(source: sqlite3.Row, context: Context) -> dict[str, Any]:
    rows = context.db.execute("SELECT * FROM memberships WHERE artifact_id = ? ORDER BY id", (source["id"],)).fetchall()
    return slice_page(rows, None, 10_000)


@field("Artifact", "currentManifest")
def current_manifest(source: sqlite3.Row, context: Context) -> sqlite3.Row | None:
    return artifacts.manifest(context.db, source["id"])


@field("Artifact", "files")
def artifact_files(
    source: sqlite3.Row,
    context: Context,
    names: list[str] | None = None,
    after: str | None = None,
    first: int | None = None,
) -> dict[str, Any]:
    return file_page(context, source["id"], names, after, first)


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
    return file_page(context, source["id"], names or None, after, len(names) or first)


@field("Artifact", "usedBy")
def used_by(source: sqlite3.Row, context: Context) -> dict[str, Any]:
    rows = context.db.execute(
        f"{runs.SELECT} JOIN artifact_uses ON run_id = runs.id WHERE artifact_id = ? ORDER BY runs.id",
        (source["id"],),
    ).fetchall()
    return slice_page(rows, None, 10_000)


@field("Artifact", "createdBy")
def created_by(source: sqlite3.Row, context: Context) -> sqlite3.Row | None:
    return None if source["run_id"] is None else runs.by_id(context.db, source["run_id"])


@field("Run", "inputArtifacts")
def input_artifacts(
    source: sqlite3.Row, context: Context, after: str | None = None, first: int | None = None
) -> dict[str, Any]:
    rows = context.db.execute(
        "SELECT artifacts.* FROM artifacts JOIN artifact_uses ON artifact_id = artifacts.id"
        " WHERE artifact_uses.run_id = ? ORDER BY artifacts.id",
        (source["id"],),
    ).fetchall()
    return slice_page(rows, after, first)


@field("Run", "outputArtifacts")
def output_artifacts(
    source: sqlite3.Row, context: Context, after: str | None = None, first: int | None = None
) -> dict[str, Any]:
    rows = context.db.execute(
        "SELECT * FROM artifacts WHERE run_id = ? AND state = 'COMMITTED' ORDER BY id", (source["id"],)
    ).fetchall()
    return slice_page(rows, after, first)


@field("ArtifactManifest", "id")
def manifest_id(source: sqlite3.Row, _: Context) -> str:
    return ids.encode("ArtifactManifest", source["id"])


@field("ArtifactManifest", "file")
def manifest_file(source: sqlite3.Row, context: Context) -> dict[str, Any]:
    links, key, name = context.links, source["id"], source["name"]
    return {
        **dict(source),
        "updated_at": now(),
        "uploadUrl": links.upload("manifest", key, name),
        "directUrl": links.download("manifest", key, name) if source["blob"] else None,
        "uploadHeaders": [],
    }


# Changes


@mutation("createArtifact")
def create_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    db = context.db
    project = projects.ensure(db, input["entityName"] or context.entity, input["projectName"] or UNNAMED)
    name = input.get("artifactCollectionName") or next(iter(input.get("artifactCollectionNames") or []), None)
    if not name:
        raise BadRequest("an artifact needs the name of its collection")
    collection = artifacts.ensure_collection(db, project["id"], input["artifactTypeName"], name)
    run = runs.find(db, project["id"], input.get("runName") or "")
    key = artifacts.create(
        db,
        collection["id"],
        digest=input["digest"],
        reuse=bool(input.get("enableDigestDeduplication")),
        aliases=[alias["alias"] for alias in input.get("aliases") or []],
        tags=[tag["tagName"] for tag in input.get("tags") or []],
        digest_algorithm=input.get("digestAlgorithm"),
        description=input.get("description"),
        metadata=dumps(as_object(input.get("metadata"), "metadata")),
        ttl_seconds=input.get("ttlDurationSeconds"),
        history_step=input.get("historyStep"),
        client_id=input.get("clientID"),
        run_id=None if run is None else run["id"],
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
    return {"artifactManifest": _manifest(context, key)}


@mutation("updateArtifactManifest")
def update_artifact_manifest(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    row = _manifest(context, ids.decode("ArtifactManifest", input["artifactManifestID"]))
    artifacts.put_manifest(context.db, row["artifact_id"], row["name"], input.get("digest"), row["type"])
    return {"artifactManifest": _manifest(context, row["id"])}


def _manifest(context: Context, key: int) -> sqlite3.Row:
    row: sqlite3.Row | None = context.db.execute("SELECT * FROM manifests WHERE id = ?", (key,)).fetchone()
    if row is None:
        raise NotFound("no such artifact manifest")
    return row


@mutation("createArtifactFiles")
def create_artifact_files(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    nodes = []
    for wanted in input["artifactFiles"]:
        key = ids.decode("Artifact", wanted["artifactID"])
        if artifacts.by_id(context.db, key)["state"] == "COMMITTED":
            raise BadRequest("this artifact version is committed and cannot change any more")
        row = artifacts.announce_file(context.db, key, wanted["name"], wanted["md5"])
        link = None if row["blob"] else context.links.upload("artifact-file", row["id"], row["name"])
        nodes.append(
            {
                **dict(row),
                "updated_at": now(),
                "uploadUrl": link,
                "uploadHeaders": [],
                "storagePath": row["name"],
                "artifact": artifacts.by_id(context.db, key),
            }
        )
    return {"files": slice_page(nodes, None, 10_000)}


@mutation("commitArtifact")
def commit_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    key = ids.decode("Artifact", input["artifactID"])
    artifacts.commit(context.db, context.store.blobs, key)
    return {"artifact": artifacts.by_id(context.db, key)}


@mutation("updateArtifact")
def update_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    row = artifacts.by_id(context.db, ids.decode("Artifact", input["artifactID"]))
    tags = json.loads(row["tags"]) + [tag["tagName"] for tag in input.get("tagsToAdd") or []]
    dropped = {tag["tagName"] for tag in input.get("tagsToDelete") or []}
    metadata = input.get("metadata")
    context.db.execute(
        "UPDATE artifacts SET description = coalesce(?, description), metadata = coalesce(?, metadata),"
        " ttl_seconds = coalesce(?, ttl_seconds), tags = ?, updated_at = ? WHERE id = ?",
        (
            input.get("description"),
            None if metadata is None else dumps(as_object(metadata, "metadata")),
            input.get("ttlDurationSeconds"),
            dumps([tag for tag in dict.fromkeys(tags) if tag not in dropped]),
            now(),
            row["id"],
        ),
    )
    return {"artifact": artifacts.by_id(context.db, row["id"])}


@mutation("deleteArtifact")
def delete_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    row = artifacts.by_id(context.db, ids.decode("Artifact", input["artifactID"]))
    artifacts.delete(context.db, row["id"], with_aliases=bool(input.get("deleteAliases")))
    return {"artifact": row}


@mutation("useArtifact")
def use_artifact(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    run = wanted_run(context, input["entityName"], input["projectName"], input["runName"])
    row = artifacts.by_id(context.db, ids.decode("Artifact", input["artifactID"]))
    context.db.execute(
        "INSERT OR IGNORE INTO artifact_uses (run_id, artifact_id) VALUES (?, ?)", (run["id"], row["id"])
    )
    return {"artifact": row}
