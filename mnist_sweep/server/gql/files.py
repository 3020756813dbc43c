"""A run's files."""

import mimetypes
import sqlite3
from typing import Any

from mnist_sweep.server.gql import ids
from mnist_sweep.server.gql.connection import slice_page
from mnist_sweep.server.gql.projects import named_run
from mnist_sweep.server.gql.registry import Context, columns, field, identified, mutation
from mnist_sweep.server.store import files

identified("File")
columns("File", sizeBytes="size", updatedAt="updated_at")


@field("Run", "fileCount")
def file_count(source: sqlite3.Row, context: Context) -> int:
    return len(files.listing(context.db, source["id"]))


@field("Run", "files")
def run_files(
    source: sqlite3.Row,
    context: Context,
    names: list[str] | None = None,
    after: str | None = None,
    first: int | None = None,
    pattern: str | None = None,
) -> dict[str, Any]:
    return slice_page(files.listing(context.db, source["id"], names=names, pattern=pattern), after, first)


# A `File` is a row of `files`, or a mapping from the resolvers of artifacts.


@field("File", "name")
@field("File", "displayName")
def file_name(source: sqlite3.Row | dict[str, Any], _: Context) -> Any:
    return source["name"]


@field("File", "url")
def file_url(source: sqlite3.Row | dict[str, Any], context: Context, upload: bool | None = None) -> str | None:
    if isinstance(source, dict):
        return str(source["directUrl"]) if source.get("directUrl") else None
    if upload:
        return context.signed_urls.upload("file", source)
    return context.signed_urls.download("file", source) if source["blob"] else None


@field("File", "directUrl")
def direct_url(source: sqlite3.Row | dict[str, Any], context: Context) -> str | None:
    return file_url(source, context)


@field("File", "uploadUrl")
def upload_url(source: sqlite3.Row | dict[str, Any], context: Context) -> Any:
    return source.get("uploadUrl") if isinstance(source, dict) else file_url(source, context, upload=True)


@field("File", "mimetype")
def mimetype(source: sqlite3.Row | dict[str, Any], _: Context) -> str:
    return mimetypes.guess_type(source["name"])[0] or "application/octet-stream"


@field("File", "md5")
@field("File", "digest")
def md5(source: sqlite3.Row | dict[str, Any], _: Context) -> Any:
    return source["digest"] if isinstance(source, dict) else source["md5"]


# Changes


@mutation("createRunFiles")
def create_run_files(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    row = named_run(context, input)
    made = []
    for name in input["files"]:
        file = files.announce(context.db, row["id"], name)
        made.append({"id": file["id"], "name": name, "uploadUrl": context.signed_urls.upload("file", file)})
    return {"runID": ids.encode("Run", row["id"]), "uploadHeaders": [], "files": made}


@mutation("markRunFilesUploaded")
def mark_run_files_uploaded(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    named_run(context, input)
    return {"success": True}


@mutation("deleteFiles")
def delete_files(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    files.delete(context.db, [ids.decode("File", file) for file in input["files"]])
    return {"success": True}
