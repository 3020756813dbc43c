"""Benchmarks and measurements; each runs as `python -m scripts.NAME`."""
