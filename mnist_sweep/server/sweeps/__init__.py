"""Sweeps on the server: hand out trials, track their states, and search."""
