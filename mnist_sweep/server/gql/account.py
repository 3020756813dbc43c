"""The user, the entities, and what this server can do.

There is one user. An entity exists as soon as an address names it. Each entity is a team of that user, and an
organisation, in which the client looks for registries: the entity's projects named `wandb-registry-…`.
"""

from typing import Any

from mnist_sweep.server.gql import ids
from mnist_sweep.server.gql.registry import Context, constants, field
from mnist_sweep.server.store.rows import Project, Run, Sweep

FEATURES = (
    "ARTIFACT_TAGS",
    "CLIENT_IDS",
    "LARGE_FILENAMES",
    "MARK_RUN_FILES_UPLOADED",
    "PROJECT_ARTIFACT_COLLECTION_MEMBERSHIP",
    "SWEEPS_LOCAL_SCHEDULER",
    "SWEEPS_QUERY_FILTERING",
    "TOTAL_COUNT_IN_FILE_CONNECTION",
    "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION",
)
MIN_CLIENT, MAX_CLIENT = "0.28.0", "0.999.0"
constants("User", email="", admin=True, flags="{}", apiKeys={"edges": []}, teams={"edges": []})
constants("Member", email="", admin=True, pending=False, role="admin", accountType="MEMBER")
constants("Entity", isTeam=False, isPaid=False, available=False, readOnly=False, readOnlyAdmin=False)
constants("Entity", privateOnly=True, defaultAccess="PRIVATE", storageBytes=0, limits="{}")
constants("Entity", codeSavingEnabled=True, xxhashDigestsEnabled=False)


def user(entity: str) -> dict[str, Any]:
    """Return the server's only user, under the name of an entity."""
    return {
        "id": ids.encode("User", 1),
        "name": entity,
        "username": entity,
        "entity": entity,
        "organizations": [_organization(entity)],
    }


def entity(name: str) -> dict[str, Any]:
    """Return an entity. It has no `organization` of its own, by which the client recognises a personal one."""
    who = user(name)
    return _named(name) | {"user": who, "members": [who]}


def _organization(name: str) -> dict[str, Any]:
    its_entity = _named(name) | {"entityType": "organization"}
    return {"id": ids.encode("Organization", 1), "name": name, "orgEntity": its_entity}


def _named(name: str) -> dict[str, Any]:
    return {"id": ids.encode("Entity", 1), "name": name, "entityType": "user"}


@field("Query", "viewer")
def viewer(_: None, context: Context) -> dict[str, Any]:
    return user(context.entity)


@field("Project", "user")
@field("Run", "user")
@field("Sweep", "user")
def owner(source: Project | Run | Sweep, _: Context) -> dict[str, Any]:
    return user(source.entity)


@field("Query", "users")
def users(_: None, context: Context, query: str | None = None) -> dict[str, Any]:
    return {"edges": [{"node": user(context.entity)}] if query in (None, "", context.entity) else []}


@field("Query", "entity")
def entity_named(_: None, context: Context, name: str | None = None) -> dict[str, Any]:
    return entity(name or context.entity)


@field("Query", "organization")
def organization(_: None, context: Context, name: str | None = None) -> Any:
    return _organization(name or context.entity)


@field("Entity", "project")
def entity_project(source: dict[str, Any], context: Context, name: str | None = None) -> Any:
    return Project.find(context.db, source["name"], name or "")


@field("Query", "serverInfo")
def server_info(_: None, context: Context) -> dict[str, Any]:
    return {
        "features": [{"name": name, "isEnabled": True} for name in FEATURES],
        "cliVersionInfo": {"min_cli_version": MIN_CLIENT, "max_cli_version": MAX_CLIENT},
        "latestLocalVersionInfo": None,
    }
