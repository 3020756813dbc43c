"""What the resolvers of artifacts and those of collections both answer with."""

import sqlite3
from collections.abc import Iterable
from typing import Any

from mnist_sweep.server.gql import ids
from mnist_sweep.server.gql.connection import slice_page
from mnist_sweep.server.gql.registry import Context
from mnist_sweep.server.store import artifacts
from mnist_sweep.server.store.clock import now


def type_name(value: Any) -> str:
    """Which GraphQL type a row is, where the schema leaves it open."""
    if isinstance(value, sqlite3.Row):
        if "portfolio" in value.keys():  # noqa: SIM118 (a row iterates over its values)
            return "ArtifactPortfolio" if value["portfolio"] else "ArtifactSequence"
        return "Run"
    return "User"


def artifact_type(collection: sqlite3.Row) -> dict[str, Any]:
    """The artifact type of a collection: a name, inside its project."""
    return {
        "id": ids.encode("ArtifactType", collection["id"]),
        "name": collection["type"],
        "createdAt": collection["created_at"],
        "project_id": collection["project_id"],
    }


def tags(names: Iterable[str]) -> list[dict[str, str]]:
    return [{"id": ids.encode("Tag", i), "name": name} for i, name in enumerate(names)]


def file_page(
    context: Context, artifact_id: int, names: list[str] | None, after: str | None, first: int | None
) -> dict[str, Any]:
    """A page of an artifact's files; a reference has an address of its own."""
    rows = slice_page(artifacts.files(context.db, artifact_id, names), after, first)
    for edge in rows["edges"]:
        row = edge["node"]
        link = row["ref"] or context.signed_urls.download("artifact-file", row)
        edge["node"] = {**dict(row), "directUrl": link, "updated_at": now(), "storagePath": row["name"]}
    return rows
