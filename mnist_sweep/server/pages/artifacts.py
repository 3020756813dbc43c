"""What the pages show of artifacts: one version of one, and those of a run."""

import json
import sqlite3
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request

from mnist_sweep.server import lookup, records
from mnist_sweep.server.signed_urls import SignedUrls
from mnist_sweep.server.store import artifacts, collections, runs

Shown = dict[str, Any]


def artifact(links: SignedUrls, db: sqlite3.Connection, request: Request) -> Shown:
    """A version of an artifact, at the address that `Artifact.url` gives; without a version, the latest."""
    named, project = request.path_params, lookup.project(db, request)
    collection = collections.get(db, project["entity"], project["name"], named["name"])
    member = collections.member(db, collection["id"], named.get("version", "latest"))
    if member is None or collection["type"] != named["type"]:
        raise HTTPException(404, "no such artifact")
    key = member["artifact_id"]
    artifact = artifacts.by_id(db, key)
    address = records.address(project["entity"], project["name"])
    here = f"{address}/artifacts/{quote(collection['type'])}/{quote(collection['name'])}"
    makers = [] if artifact["run_id"] is None else [("logged by", runs.by_id(db, artifact["run_id"]))]
    users = [("used by", row) for row in artifacts.users_of(db, key)]
    return {
        "project": project,
        "address": address,
        "title": f"{collection['name']}:v{member['version']}",
        "type": collection["type"],
        "name": collection["name"],
        "artifact": artifact,
        "metadata": sorted(json.loads(artifact["metadata"] or "{}").items()),
        "versions": [
            {
                "number": row["version"],
                "href": f"{here}/v{row['version']}",
                "current": row["artifact_id"] == key,
                "aliases": ", ".join(
                    one["alias"]
                    for one in collections.aliases(db, collection_id=collection["id"], artifact_id=row["artifact_id"])
                ),
            }
            for row in collections.members(db, collection["id"])
        ],
        "runs": [
            {"what": what, "name": row["name"], "label": row["display_name"] or row["name"]}
            for what, row in (*makers, *users)
        ],
        "files": [
            dict(row) | {"href": links.download("artifact-file", row) if row["blob"] else None}
            for row in artifacts.files(db, key)
        ],
    }


def of_run(db: sqlite3.Connection, run: sqlite3.Row) -> list[Shown]:
    """What a run logged and used, each with the address of its page."""
    found: list[Shown] = []
    both = (("logged", artifacts.made_by(db, run["id"])), ("used", artifacts.used_by(db, run["id"])))
    for what, artifact in ((what, row) for what, rows in both for row in rows):
        collection = collections.by_id(db, artifact["collection_id"])
        place = collections.place(db, collection["id"], artifact["id"])
        if place is not None:
            path = f"{quote(collection['type'])}/{quote(collection['name'])}/v{place['version']}"
            href = f"{records.project_address(run)}/artifacts/{path}"
            name = f"{collection['name']}:v{place['version']}"
            found.append({"what": what, "type": collection["type"], "name": name, "href": href})
    return found
