ALTER TABLE runs ADD COLUMN lease_revoked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN handed_out_by TEXT;
ALTER TABLE sweeps ADD COLUMN exhausted INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET lease_revoked = 1, holder = replace(holder, '/gone', '/0') WHERE holder LIKE '%/gone'
