"""A run's files."""

import mimetypes
from typing import Any

from mnist_sweep.server.gql import ids
from mnist_sweep.server.gql.projects import named_run
from mnist_sweep.server.gql.registry import Context, columns, constants, field, fields, listing, mutation
from mnist_sweep.server.store import files
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.rows import Artifact, ArtifactFile, File, Run
from mnist_sweep.server.store.uploads import Upload

columns("File", displayName="name", sizeBytes="size")
constants("File", uploadHeaders=[])
fields(Run, fileCount=lambda row, context: len(files.listing(context.db, row.id)))


@listing("Run", "files")
def run_files(source: Run, context: Context, names: list[str] | None = None, pattern: str | None = None) -> list[File]:
    return files.listing(context.db, source.id, names=names, pattern=pattern)


# A GraphQL `File` is a run's file, an artifact's file or a manifest.


@field("File", "url")
@field("File", "directUrl")
def direct_url(source: Upload, context: Context, upload: bool | None = None) -> str | None:
    """Return where to get a file, or, with `upload`, where to put a run's file. A reference has its own address."""
    if isinstance(source, ArtifactFile) and source.ref:
        return source.ref
    if upload and isinstance(source, File):
        return context.signed_urls.upload(source)
    return context.signed_urls.download(source) if source.blob else None


@field("File", "uploadUrl")
def upload_url(source: Upload | dict[str, str], context: Context) -> str | None:
    if isinstance(source, dict):  # of `createRunFiles`, which answers with the names as they were given
        return source["uploadUrl"]
    there = isinstance(source, ArtifactFile) and (source.blob or source.ref)
    return None if there else context.signed_urls.upload(source)


@field("File", "storagePath")
def storage_path(source: Upload, _: Context) -> str | None:
    return source.name if isinstance(source, ArtifactFile) else None


@field("File", "artifact")
def artifact(source: Upload, context: Context) -> Artifact | None:
    return None if isinstance(source, File) else Artifact.by_id(context.db, source.artifact_id)


@field("File", "updatedAt")
def updated_at(source: Upload, _: Context) -> str:
    return source.updated_at if isinstance(source, File) else now()


@field("File", "mimetype")
def mimetype(source: Upload, _: Context) -> str:
    return mimetypes.guess_type(source.name)[0] or "application/octet-stream"


@field("File", "md5")
@field("File", "digest")
def md5(source: Upload, _: Context) -> str | None:
    return source.md5 if isinstance(source, File) else source.digest


# Changes


@mutation("createRunFiles")
def create_run_files(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    row = named_run(context, input)
    made = []
    for name in input["files"]:
        file = files.announce(context.db, row.id, name)
        made.append({"id": ids.encode("File", file.id), "name": name, "uploadUrl": context.signed_urls.upload(file)})
    return {"runID": ids.encode("Run", row.id), "uploadHeaders": [], "files": made}


@mutation("markRunFilesUploaded")
def mark_run_files_uploaded(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    named_run(context, input)
    return {"success": True}


@mutation("deleteFiles")
def delete_files(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    for file in input["files"]:
        File.delete(context.db, ids.decode("File", file))
    return {"success": True}
