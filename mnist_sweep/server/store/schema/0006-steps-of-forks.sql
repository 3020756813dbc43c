ALTER TABLE runs ADD COLUMN awaits_step INTEGER;
UPDATE runs SET awaits_step = CAST(json_extract(config, '$._wandb.value.branch_point.step') AS INTEGER)
    WHERE awaits IS NOT NULL
