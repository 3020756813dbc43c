"""Constrained hyperparameter sweeps with Weights & Biases, on MNIST, under 10,000 parameters."""

import os

# By default OpenMP's threads spin while they wait for each other. Beside any other busy process that makes two threads
# a hundred times slower than one. It is read when torch loads, so it has to be said before.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
