"""Faster implementations of the training step."""
