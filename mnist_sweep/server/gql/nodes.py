"""Values that the resolvers of artifacts and of collections share."""

import sqlite3
from collections.abc import Iterable
from typing import Any

from mnist_sweep.server.gql import ids
from mnist_sweep.server.gql.connection import slice_page
from mnist_sweep.server.gql.registry import Context
from mnist_sweep.server.store import artifacts
from mnist_sweep.server.store.clock import now


def type_name(value: Any) -> str:
    """Return the GraphQL type of a row in a field whose type is an interface or a union."""
    if isinstance(value, sqlite3.Row):
        if "portfolio" in value.keys():  # noqa: SIM118 (a row iterates over its values)
            return "ArtifactPortfolio" if value["portfolio"] else "ArtifactSequence"
        return "Run"
    return "User"


def artifact_type(collection: sqlite3.Row) -> dict[str, Any]:
    """Return the artifact type of a collection: a name inside a project."""
    return {
        "id": ids.encode("ArtifactType", collection["id"]),
        "name": collection["type"],
        "createdAt": collection["created_at"],
        "project_id": collection["project_id"],
    }


def tags(names: Iterable[str]) -> list[dict[str, str]]:
    """Return tags with ids that the client ignores."""
    return [{"id": ids.encode("Tag", i), "name": name} for i, name in enumerate(names)]


def file_page(
    context: Context, artifact_id: int, names: list[str] | None, after: str | None, first: int | None
) -> dict[str, Any]:
    """Return a page of an artifact's files. A reference has its own address."""
    rows = slice_page(artifacts.files(context.db, artifact_id, names), after, first)
    for edge in rows["edges"]:
        row = edge["node"]
        link = row["ref"] or context.signed_urls.download("artifact-file", row)
        edge["node"] = {**dict(row), "directUrl": link, "updated_at": now(), "storagePath": row["name"]}
    return rows
