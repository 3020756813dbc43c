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
