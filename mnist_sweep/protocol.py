"""Constants that agents, tasks of a cluster and the server share."""

TASK_HEADER = "X-Sweep-Task"
"""Request header by which an agent names its task and how often it was restarted, as in `slurm-812_3.1/1`.

The server then knows that the task's earlier process is gone.
"""

RETRY_CRASHED = "retry_crashed"
"""This project's own key of a sweep: how often a trial whose process vanished is handed out again."""

EXIT_STOPPED = 255
"""Exit code of a run that a person stopped: the client's own code for Ctrl-C."""

EXIT_PREEMPTED = 75
"""Exit code of a run, agent or task that should be resumed (EX_TEMPFAIL of sysexits.h)."""

EXIT_NODE_UNFIT = 70
"""Exit code of a run or task that should be retried on another machine (EX_SOFTWARE of sysexits.h)."""
