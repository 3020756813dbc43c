"""The rows of the database: one class for each table. Only this module makes them from SQLite's own rows.

Run.by_id(db, 7)    Run.all(db, "WHERE runs.state = ?", "running")    Run.insert(db, name="a", …)
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from mnist_sweep.server.errors import NotFound


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table with ids. Its fields are the table's columns, and those that `select` adds."""

    table: ClassVar[str]
    select: ClassVar[str]
    noun: ClassVar[str]
    """What a row is, for messages."""

    id: int

    def __init_subclass__(cls, table: str = "", select: str = "", noun: str = "") -> None:
        cls.table, cls.select, cls.noun = table, select or f"SELECT {table}.* FROM {table}", noun

    @classmethod
    def all(cls, db: sqlite3.Connection, rest: str = "", *values: Any) -> list[Self]:
        """Return the rows that a SELECT with this rest (JOIN, WHERE, ORDER BY …) and these values finds."""
        return [cls(**dict(row)) for row in db.execute(f"{cls.select} {rest}", values)]

    @classmethod
    def first(cls, db: sqlite3.Connection, rest: str, *values: Any) -> Self | None:
        """Return the first of the rows that `all` returns, or None."""
        row = db.execute(f"{cls.select} {rest}", values).fetchone()
        return None if row is None else cls(**dict(row))

    @classmethod
    def by_id(cls, db: sqlite3.Connection, key: int) -> Self:
        """Return the row with this id. Raise NotFound if there is none."""
        if (row := cls.first(db, f"WHERE {cls.table}.id = ?", key)) is None:
            raise NotFound(f"no such {cls.noun}; it may have been deleted")
        return row

    @classmethod
    def insert(cls, db: sqlite3.Connection, **values: Any) -> int:
        """Insert a row and return its id."""
        columns, marks = ", ".join(cls._checked(values)), ", ".join("?" * len(values))
        sql = f"INSERT INTO {cls.table} ({columns}) VALUES ({marks}) RETURNING id"
        return int(db.execute(sql, tuple(values.values())).fetchone()[0])

    @classmethod
    def set(cls, db: sqlite3.Connection, key: int, **values: Any) -> None:
        """Set columns of a row. Raise ValueError for a name that is no column: names become part of the statement."""
        columns = ", ".join(f"{name} = ?" for name in cls._checked(values))
        db.execute(f"UPDATE {cls.table} SET {columns} WHERE id = ?", (*values.values(), key))

    @classmethod
    def delete(cls, db: sqlite3.Connection, key: int) -> None:
        """Remove a row, and the rows that belong to it."""
        db.execute(f"DELETE FROM {cls.table} WHERE id = ?", (key,))

    @classmethod
    def _checked(cls, names: Iterable[str]) -> Iterable[str]:
        known = {field.name for field in fields(cls)}
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"{cls.table} has no column {unknown[0]!r} to set")
        return names


@dataclass(frozen=True, kw_only=True)
class Project(Row, table="projects", noun="project"):
    """A project of an entity."""

    entity: str
    name: str
    description: str | None
    created_at: str

    @classmethod
    def find(cls, db: sqlite3.Connection, entity: str, name: str) -> Self | None:
        """Return the project of that name, or None."""
        return cls.first(db, "WHERE entity = ? AND name = ?", entity, name)

    @classmethod
    def get(cls, db: sqlite3.Connection, entity: str, name: str) -> Self:
        """Return the project of that name. Raise NotFound if there is none."""
        if (row := cls.find(db, entity, name)) is None:
            raise NotFound(f"no project {name[:100]!r} of {entity[:100]!r}")
        return row


@dataclass(frozen=True, kw_only=True)
class Named(Row):
    """A row with a name that is unique in its project."""

    project_id: int
    name: str

    @classmethod
    def find(cls, db: sqlite3.Connection, project_id: int, name: str) -> Self | None:
        """Return the row of that name in a project, or None."""
        return cls.first(db, f"WHERE {cls.table}.project_id = ? AND {cls.table}.name = ?", project_id, name)

    @classmethod
    def get(cls, db: sqlite3.Connection, entity: str, project: str, name: str) -> Self:
        """Return the row of that name in a project. Raise NotFound if there is none, or no such project."""
        known = Project.find(db, entity, project)
        row = None if known is None else cls.find(db, known.id, name)
        if row is None:
            raise NotFound(f"no {cls.noun} {name[:100]!r} in {entity[:100]}/{project[:100]}; it may have been deleted")
        return row


_SWEEPS = """
SELECT sweeps.*, projects.entity, projects.name AS project
FROM sweeps JOIN projects ON projects.id = sweeps.project_id
"""


@dataclass(frozen=True, kw_only=True)
class Sweep(Named, table="sweeps", select=_SWEEPS, noun="sweep"):
    """A sweep, with the names of its project."""

    display_name: str | None
    description: str | None
    config: str
    """The author's YAML text."""
    state: str
    controller: str | None
    scheduler: str | None
    prior_runs: str
    """The row ids of runs of other sweeps that the search learns from, as JSON."""
    trials: int
    """The number of the next trial; it never decreases."""
    exhausted: int
    created_at: str
    updated_at: str
    entity: str
    project: str


_AGENTS = """
SELECT agents.*, (SELECT count(*) FROM runs WHERE agent_id = agents.id) AS total_runs,
    EXISTS (SELECT 1 FROM agents AS later WHERE later.sweep_id = agents.sweep_id
        AND later.task = agents.task AND later.restart > agents.restart) AS superseded
FROM agents
"""


@dataclass(frozen=True, kw_only=True)
class Agent(Row, table="agents", select=_AGENTS, noun="agent"):
    """An agent of a sweep."""

    sweep_id: int
    name: str
    host: str | None
    task: str | None
    restart: int | None
    created_at: str
    heartbeat_at: str
    total_runs: int
    superseded: int
    """Whether its task was restarted since."""


RUN_TABLES = """
runs JOIN projects ON projects.id = runs.project_id
LEFT JOIN sweeps ON sweeps.id = runs.sweep_id LEFT JOIN agents ON agents.id = runs.agent_id
"""
_RUNS = f"""
SELECT runs.*, projects.entity, projects.name AS project, sweeps.name AS sweep, sweeps.state AS sweep_state,
    agents.name AS agent
FROM {RUN_TABLES}
"""


@dataclass(frozen=True, kw_only=True)
class Run(Named, table="runs", select=_RUNS, noun="run"):
    """A run, with the names of its project, its sweep and its agent."""

    display_name: str | None
    state: str
    config: str
    summary: str
    description: str | None
    notes: str | None
    run_group: str | None
    job_type: str | None
    tags: str
    host: str | None
    program: str | None
    repo: str | None
    commit_hash: str | None
    exit_code: int | None
    created_at: str
    updated_at: str
    heartbeat_at: str
    sweep_id: int | None
    agent_id: int | None
    trial: int | None
    params: str | None
    """The values that the sweep suggested, as JSON."""
    started: int
    """Whether its program has reported."""
    retries: int
    stop_requested: int
    """A `runs.StopRequest`."""
    stop_reason: str | None
    version: int
    """The number of its last change."""
    holder: str | None
    """The task that has its lease (`leases`)."""
    lease_revoked: int
    handed_out_by: str | None
    """The server process that handed it out."""
    segment: str | None
    """What is being logged to it (`segments`), as JSON."""
    awaits: str | None
    """The run of which it is a fork, and may still lack rows."""
    awaits_step: int | None
    entity: str
    project: str
    sweep: str | None
    sweep_state: str | None
    agent: str | None


@dataclass(frozen=True, kw_only=True)
class File(Row, table="files", noun="file"):
    """A run's file. It has a blob once its contents have arrived."""

    run_id: int
    name: str
    blob: str | None
    size: int
    md5: str | None
    updated_at: str


@dataclass(frozen=True, kw_only=True)
class Collection(Named, table="collections", noun="artifact collection"):
    """A collection of artifacts: a sequence or a portfolio."""

    type: str
    portfolio: int
    versions: int
    """The number of its next version."""
    description: str | None
    tags: str
    created_at: str
    updated_at: str


@dataclass(frozen=True, kw_only=True)
class Artifact(Row, table="artifacts", noun="artifact"):
    """A version of a collection. `aliases` are those that it gets once it is committed."""

    collection_id: int
    state: str
    digest: str
    digest_algorithm: str | None
    description: str | None
    metadata: str | None
    tags: str
    ttl_seconds: int | None
    history_step: int | None
    client_id: str | None
    distributed_id: str | None
    aliases: str
    size: int
    file_count: int
    run_id: int | None
    created_at: str
    updated_at: str


@dataclass(frozen=True, kw_only=True)
class Membership(Row, table="memberships", noun="membership"):
    """An artifact's place in a collection."""

    collection_id: int
    artifact_id: int
    version: int
    created_at: str


@dataclass(frozen=True, kw_only=True)
class Alias(Row, table="aliases", noun="alias"):
    """A name of a membership."""

    collection_id: int
    alias: str
    artifact_id: int


@dataclass(frozen=True, kw_only=True)
class Manifest(Row, table="manifests", noun="artifact manifest"):
    """A list of an artifact's files. It has a blob once its contents have arrived."""

    artifact_id: int
    name: str
    digest: str | None
    type: str
    blob: str | None
    size: int


@dataclass(frozen=True, kw_only=True)
class ArtifactFile(Row, table="artifact_files", noun="artifact's file"):
    """A file of an artifact: a blob once its contents have arrived, or a reference to a file elsewhere."""

    artifact_id: int
    name: str
    digest: str
    blob: str | None
    ref: str | None
    size: int


@dataclass(frozen=True, kw_only=True)
class View(Row, table="views", noun="report or view"):
    """A saved view of a project, as its author's tool wrote it."""

    project_id: int
    type: str
    name: str
    display_name: str | None
    description: str | None
    spec: str
    created_at: str
    updated_at: str
