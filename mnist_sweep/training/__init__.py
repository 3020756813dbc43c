"""A network and its training: knows neither Weights & Biases nor the command line."""

import os

# How long OpenMP's threads spin before they sleep while they wait for each other. With the default two threads collapse
# beside other busy processes; sleeping at once halves their speed on a quiet machine (LOG.md). It is read when torch
# loads, so it has to be said before.
os.environ.setdefault("GOMP_SPINCOUNT", "30000")
