ALTER TABLE runs ADD COLUMN segment TEXT;
ALTER TABLE runs ADD COLUMN awaits TEXT;
CREATE INDEX runs_awaiting ON runs (project_id, awaits) WHERE awaits IS NOT NULL
