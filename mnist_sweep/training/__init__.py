"""Build and train a network. This package knows neither Weights & Biases nor the command line."""

import os

# How long OpenMP threads spin before they sleep while they wait for each other. With the default, two threads slow down
# badly beside other busy processes; sleeping at once halves their speed on a quiet machine (LOG.md). OpenMP reads the
# variable when torch is imported, so it must be set before that.
os.environ.setdefault("GOMP_SPINCOUNT", "30000")
