"""From runs to figures, tables and sentences; from those to a page, a W&B report and a terminal summary.

Plain `RunRecord`s and a `SweepInfo` (`records`), from `wandb.Api()` (`api`) or from a server's store, are judged and
ordered once (`ranking`), and everything there is to say is worked out once (`review`).
"""
