"""Sweeps on the server: hand out trials, settle them, and search."""
