CREATE TABLE artifact_client_ids (
    client_id TEXT PRIMARY KEY,
    artifact_id INTEGER NOT NULL REFERENCES artifacts ON DELETE CASCADE
) WITHOUT ROWID
