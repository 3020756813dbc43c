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
