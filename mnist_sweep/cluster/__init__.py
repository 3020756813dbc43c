"""Jobs for the schedulers of clusters, whose tasks are agents of one sweep.

A scheduler gets a plain text that people read and change: a batch script (`slurm`) or a manifest (`kubernetes`).
"""
