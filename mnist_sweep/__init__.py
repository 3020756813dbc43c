"""Constrained hyperparameter sweeps with Weights & Biases, on MNIST, under 10,000 parameters."""
