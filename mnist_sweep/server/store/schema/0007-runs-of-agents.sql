CREATE INDEX runs_by_agent ON runs (agent_id, state)
