"""What the pages show of artifacts: one version of one, and those of a run."""

import json
import sqlite3
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request

from mnist_sweep.server import lookup, records
from mnist_sweep.server.pages.contexts import (
    ArtifactLink,
    ArtifactPage,
    ArtifactRun,
    ArtifactVersion,
    FileEntry,
    Place,
)
from mnist_sweep.server.signed_urls import SignedUrls
from mnist_sweep.server.store import artifacts, collections
from mnist_sweep.server.store.rows import Artifact, ArtifactFile, Collection, Membership, Run


def artifact(links: SignedUrls, db: sqlite3.Connection, request: Request) -> ArtifactPage:
    """Return a version of an artifact, at the address that `Artifact.url` gives; the latest if none is named."""
    named, project = request.path_params, lookup.project(db, request)
    collection = Collection.get(db, project.entity, project.name, named["name"])
    member = collections.member(db, collection.id, named.get("version", "latest"))
    if member is None or collection.type != named["type"]:
        raise HTTPException(404, "no such artifact")
    key = member.artifact_id
    artifact = Artifact.by_id(db, key)
    place = Place(project.entity, project.name)
    here = f"{place.address}/artifacts/{quote(collection.type)}/{quote(collection.name)}"

    def version(row: Membership) -> ArtifactVersion:
        aliases = collections.aliases(db, collection_id=collection.id, artifact_id=row.artifact_id)
        return ArtifactVersion(
            number=row.version,
            address=f"{here}/v{row.version}",
            current=row.artifact_id == key,
            aliases=", ".join(one.alias for one in aliases),
        )

    def file(row: ArtifactFile) -> FileEntry:
        href = links.download(row) if row.blob else None
        return FileEntry(name=row.name, href=href, size=row.size, reference=row.ref)

    def run(relation: str, row: Run) -> ArtifactRun:
        address = f"{place.address}/runs/{quote(row.name)}"
        return ArtifactRun(relation=relation, label=row.display_name or row.name, address=address)

    makers = [] if artifact.run_id is None else [run("logged by", Run.by_id(db, artifact.run_id))]
    return ArtifactPage(
        place=place,
        title=f"{collection.name}:v{member.version}",
        collection=collection,
        artifact=artifact,
        versions=[version(row) for row in collections.members(db, collection.id)],
        runs=[*makers, *(run("used by", row) for row in artifacts.users_of(db, key))],
        files=[file(row) for row in artifacts.files(db, key)],
        metadata=sorted(json.loads(artifact.metadata or "{}").items()),
    )


def of_run(db: sqlite3.Connection, run: Run) -> list[ArtifactLink]:
    """Return the artifacts that a run logged and used, each with the address of its page."""
    found: list[ArtifactLink] = []
    both = (("logged", artifacts.made_by(db, run.id)), ("used", artifacts.used_by(db, run.id)))
    for relation, artifact in ((relation, row) for relation, rows in both for row in rows):
        collection = Collection.by_id(db, artifact.collection_id)
        member = collections.place(db, collection.id, artifact.id)
        if member is not None:
            path = f"{quote(collection.type)}/{quote(collection.name)}/v{member.version}"
            found.append(
                ArtifactLink(
                    relation=relation,
                    type=collection.type,
                    name=f"{collection.name}:v{member.version}",
                    address=f"{records.project_address(run)}/artifacts/{path}",
                )
            )
    return found
