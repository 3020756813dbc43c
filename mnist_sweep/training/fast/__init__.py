"""The same arithmetic, quicker."""
