ALTER TABLE agents ADD COLUMN task TEXT;
ALTER TABLE agents ADD COLUMN restart INTEGER;
ALTER TABLE runs ADD COLUMN holder TEXT;
CREATE INDEX agents_by_task ON agents (sweep_id, task)
