"""The schema, as a list of named steps; each is applied once, in one transaction. Only ever append.

A step is SQL text or a function of the connection. Foreign keys are off meanwhile, so that a step can replace a table.
"""

import re
import secrets
import sqlite3
from collections.abc import Callable

_OLD_KEY = re.compile(r"\bid INTEGER PRIMARY KEY\b(?! AUTOINCREMENT)")


def _never_reuse_ids(db: sqlite3.Connection) -> None:
    """Give every table with an `id` the keyword AUTOINCREMENT, and start its ids at a random number.

    Row ids leave the server as `Agent:1`. SQLite reuses the greatest id once its row is deleted, so that a client which
    still knows the old row would change another one. The random start keeps ids apart that were deleted before this
    step, and ids of different data folders.
    """
    start = 1_000_000 + secrets.randbits(30)  # the schema calls `projectId` a 32-bit integer
    tables = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
    for name, sql in tables:
        if not _OLD_KEY.search(sql):
            continue
        indexes = db.execute(
            "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL", (name,)
        ).fetchall()
        columns = sql[sql.index("(") :]
        db.execute(f"CREATE TABLE new_{name} {_OLD_KEY.sub('id INTEGER PRIMARY KEY AUTOINCREMENT', columns)}")
        db.execute(f"INSERT INTO new_{name} SELECT * FROM {name}")
        db.execute(f"DROP TABLE {name}")
        db.execute(f"ALTER TABLE new_{name} RENAME TO {name}")
        for (index,) in indexes:
            db.execute(index)
        db.execute("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
        db.execute(
            "INSERT INTO sqlite_sequence (name, seq) SELECT ?1, max(?2, ifnull(max(id), 0)) FROM " + name, (name, start)
        )


MIGRATIONS: list[tuple[str, str | Callable[[sqlite3.Connection], None]]] = [
    (
        "0001-start",
        """
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;

CREATE TABLE projects (
    id INTEGER PRIMARY KEY,
    entity TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    created_at TEXT NOT NULL,
    UNIQUE (entity, name)
);

CREATE TABLE sweeps (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects ON DELETE CASCADE,
    name TEXT NOT NULL,
    display_name TEXT,
    description TEXT,
    config TEXT NOT NULL,
    state TEXT NOT NULL,
    controller TEXT,
    scheduler TEXT,
    prior_runs TEXT NOT NULL DEFAULT '[]',
    trials INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (project_id, name)
);

CREATE TABLE agents (
    id INTEGER PRIMARY KEY,
    sweep_id INTEGER NOT NULL REFERENCES sweeps ON DELETE CASCADE,
    name TEXT NOT NULL UNIQUE,
    host TEXT,
    created_at TEXT NOT NULL,
    heartbeat_at TEXT NOT NULL
);

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects ON DELETE CASCADE,
    name TEXT NOT NULL,
    display_name TEXT,
    state TEXT NOT NULL,
    config TEXT NOT NULL DEFAULT '{}',
    summary TEXT NOT NULL DEFAULT '{}',
    description TEXT,
    notes TEXT,
    run_group TEXT,
    job_type TEXT,
    tags TEXT NOT NULL DEFAULT '[]',
    host TEXT,
    program TEXT,
    repo TEXT,
    commit_hash TEXT,
    exit_code INTEGER,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    heartbeat_at TEXT NOT NULL,
    sweep_id INTEGER REFERENCES sweeps ON DELETE SET NULL,
    agent_id INTEGER REFERENCES agents ON DELETE SET NULL,
    trial INTEGER,
    params TEXT,
    started INTEGER NOT NULL DEFAULT 0,
    retries INTEGER NOT NULL DEFAULT 0,
    stop_requested INTEGER NOT NULL DEFAULT 0,
    stop_reason TEXT,
    version INTEGER NOT NULL,
    UNIQUE (project_id, name),
    UNIQUE (sweep_id, trial)
);
CREATE INDEX runs_by_sweep ON runs (sweep_id, version);
CREATE INDEX runs_by_state ON runs (state, heartbeat_at);

CREATE TABLE lines (
    run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    stream TEXT NOT NULL,
    line INTEGER NOT NULL,
    step INTEGER,
    version INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (run_id, stream, line)
) WITHOUT ROWID;

CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    name TEXT NOT NULL,
    blob TEXT,
    size INTEGER NOT NULL DEFAULT 0,
    md5 TEXT,
    updated_at TEXT NOT NULL,
    UNIQUE (run_id, name)
);

CREATE TABLE collections (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects ON DELETE CASCADE,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    portfolio INTEGER NOT NULL DEFAULT 0,
    versions INTEGER NOT NULL DEFAULT 0,
    description TEXT,
    tags TEXT NOT NULL DEFAULT '[]',
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (project_id, name)
);

CREATE TABLE artifacts (
    id INTEGER PRIMARY KEY,
    collection_id INTEGER NOT NULL REFERENCES collections ON DELETE CASCADE,
    state TEXT NOT NULL,
    digest TEXT NOT NULL,
    digest_algorithm TEXT,
    description TEXT,
    metadata TEXT,
    tags TEXT NOT NULL DEFAULT '[]',
    ttl_seconds INTEGER,
    history_step INTEGER,
    client_id TEXT,
    aliases TEXT NOT NULL DEFAULT '[]',
    size INTEGER NOT NULL DEFAULT 0,
    file_count INTEGER NOT NULL DEFAULT 0,
    run_id INTEGER REFERENCES runs ON DELETE SET NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX artifacts_by_client ON artifacts (client_id);
CREATE INDEX artifacts_by_collection ON artifacts (collection_id, digest);

CREATE TABLE memberships (
    id INTEGER PRIMARY KEY,
    collection_id INTEGER NOT NULL REFERENCES collections ON DELETE CASCADE,
    artifact_id INTEGER NOT NULL REFERENCES artifacts ON DELETE CASCADE,
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (collection_id, version),
    UNIQUE (collection_id, artifact_id)
);

CREATE TABLE aliases (
    id INTEGER PRIMARY KEY,
    collection_id INTEGER NOT NULL REFERENCES collections ON DELETE CASCADE,
    alias TEXT NOT NULL,
    artifact_id INTEGER NOT NULL REFERENCES artifacts ON DELETE CASCADE,
    UNIQUE (collection_id, alias)
);

CREATE TABLE manifests (
    id INTEGER PRIMARY KEY,
    artifact_id INTEGER NOT NULL REFERENCES artifacts ON DELETE CASCADE,
    name TEXT NOT NULL,
    digest TEXT,
    type TEXT NOT NULL,
    blob TEXT,
    size INTEGER NOT NULL DEFAULT 0,
    UNIQUE (artifact_id, type)
);

CREATE TABLE artifact_files (
    id INTEGER PRIMARY KEY,
    artifact_id INTEGER NOT NULL REFERENCES artifacts ON DELETE CASCADE,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    blob TEXT,
    ref TEXT,
    size INTEGER NOT NULL DEFAULT 0,
    UNIQUE (artifact_id, name)
);
CREATE INDEX artifact_files_by_digest ON artifact_files (digest);

CREATE TABLE artifact_uses (
    run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    artifact_id INTEGER NOT NULL REFERENCES artifacts ON DELETE CASCADE,
    PRIMARY KEY (run_id, artifact_id)
) WITHOUT ROWID;

CREATE TABLE views (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects ON DELETE CASCADE,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    display_name TEXT,
    description TEXT,
    spec TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

INSERT INTO meta VALUES ('version', 0)
""",
    ),
    (
        "0002-tasks",
        """
ALTER TABLE agents ADD COLUMN task TEXT;
ALTER TABLE agents ADD COLUMN restart INTEGER;
ALTER TABLE runs ADD COLUMN holder TEXT;
CREATE INDEX agents_by_task ON agents (sweep_id, task)
""",
    ),
    (
        "0003-segments",
        """
ALTER TABLE runs ADD COLUMN segment TEXT;
ALTER TABLE runs ADD COLUMN awaits TEXT;
CREATE INDEX runs_awaiting ON runs (project_id, awaits) WHERE awaits IS NOT NULL
""",
    ),
    (
        "0004-parts-of-artifacts",
        """
ALTER TABLE artifacts ADD COLUMN distributed_id TEXT;
CREATE TABLE artifact_outputs (
    run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    artifact_id INTEGER NOT NULL REFERENCES artifacts ON DELETE CASCADE,
    PRIMARY KEY (run_id, artifact_id)
) WITHOUT ROWID;
ALTER TABLE manifests RENAME TO old_manifests;
CREATE TABLE manifests (
    id INTEGER PRIMARY KEY,
    artifact_id INTEGER NOT NULL REFERENCES artifacts ON DELETE CASCADE,
    name TEXT NOT NULL,
    digest TEXT,
    type TEXT NOT NULL,
    blob TEXT,
    size INTEGER NOT NULL DEFAULT 0
);
INSERT INTO manifests SELECT id, artifact_id, name, digest, type, blob, size FROM old_manifests;
DROP TABLE old_manifests;
CREATE UNIQUE INDEX manifests_by_type ON manifests (artifact_id, type) WHERE type != 'PATCH';
CREATE INDEX manifests_by_artifact ON manifests (artifact_id)
""",
    ),
    (
        "0005-client-ids",
        """
CREATE TABLE artifact_client_ids (
    client_id TEXT PRIMARY KEY,
    artifact_id INTEGER NOT NULL REFERENCES artifacts ON DELETE CASCADE
) WITHOUT ROWID
""",
    ),
    (
        "0006-steps-of-forks",
        """
ALTER TABLE runs ADD COLUMN awaits_step INTEGER;
UPDATE runs SET awaits_step = CAST(json_extract(config, '$._wandb.value.branch_point.step') AS INTEGER)
    WHERE awaits IS NOT NULL
""",
    ),
    (
        "0007-runs-of-agents",
        """
CREATE INDEX runs_by_agent ON runs (agent_id, state)
""",
    ),
    (
        "0008-leases",
        """
ALTER TABLE runs ADD COLUMN lease_revoked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN handed_out_by TEXT;
ALTER TABLE sweeps ADD COLUMN exhausted INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET lease_revoked = 1, holder = replace(holder, '/gone', '/0') WHERE holder LIKE '%/gone'
""",
    ),
    (
        "0009-sessions",
        """
CREATE TABLE sessions (digest TEXT PRIMARY KEY, expires REAL NOT NULL) WITHOUT ROWID
""",
    ),
    ("0010-ids-are-never-reused", _never_reuse_ids),
]
