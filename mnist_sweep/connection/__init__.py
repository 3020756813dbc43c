"""Which server is used, and waiting for it while it is unavailable."""
