"""From runs to figures, tables and sentences; from those to a page, a W&B report and a terminal summary.

Everything starts from plain `RunRecord`s and a `SweepInfo` (`mnist_sweep.review.records`), which come from
`wandb.Api()` (`review.api`) or from the local server's store.
"""
