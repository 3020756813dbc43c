"""Names of what this project's runs report to W&B. Each name is written once, here.

Generic packages (`review`, `search`, `server`) do not import this module: they read names from the runs and the sweep.
The job types of finals and confirmations belong to their schema: see `review.provenance`.
"""

OBJECTIVE = "objective"
"""The loss on the held-out images after the last epoch, in nats, at its best temperature. Sweeps minimise it."""

HELD_OUT, TEST = "val", "test"
"""Prefixes of metrics that are measured on the held-out images, and on MNIST's test images."""

VAL_LOSS, VAL_ACCURACY = f"{HELD_OUT}/loss", f"{HELD_OUT}/accuracy"
TEST_LOSS, TEST_ACCURACY = f"{TEST}/loss", f"{TEST}/accuracy"
TRAIN_LOSS, TRAIN_ACCURACY = "train/loss", "train/accuracy"
"""Losses are in nats, accuracies are fractions."""

EPOCH = "epoch"
LEARNING_RATE = "lr"
IMAGES_PER_SECOND = "images_per_second"
"""Training images per second; the evaluation is not counted."""

PER_EPOCH = ("train/*", f"{HELD_OUT}/*", f"{TEST}/*", LEARNING_RATE, IMAGES_PER_SECOND)
"""Names and patterns of the metrics that have one value per epoch."""

# Summary keys. `review.status` documents what the first four mean to a ranking.
FEASIBLE = "feasible"
DIVERGED = "diverged"
COMPLETE = "complete"
REASON = "reason"
PARAMETERS = "parameters"
PARAMETERS_OVER_LIMIT = "constraint/parameters"
"""Parameters above the largest allowed count; a positive number is infeasible."""
BEST_EPOCH = "best/epoch"


BASELINE = "baseline"
"""Tag of a run over budget that is shown for comparison and never ranked."""


def best_accuracy(prefix: str) -> str:
    """Return the summary key of the best epoch's accuracy, for `HELD_OUT` or `TEST`."""
    return f"best/{prefix}/accuracy"
