"""The review of a sweep: figures, tables and sentences for a page, a W&B report and the terminal.

The input is plain `RunRecord`s and a `SweepInfo` (`records`), read from `wandb.Api()` (`api`) or from a server's store.
`ranking` classifies and orders the runs once. `review` computes everything else that is shown.
"""
