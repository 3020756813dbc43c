"""A job for Kubernetes: an Indexed Job as a manifest for `kubectl apply`.

It relies on completion modes and pod failure policies:
https://kubernetes.io/docs/concepts/workloads/controllers/job/
"""

import shlex
from pathlib import Path

from mnist_sweep.cluster.job import STAGGER_SECONDS, VARIABLES, Job, render
from mnist_sweep.cluster.task import WARNING_SECONDS
from mnist_sweep.protocol import EXIT_PREEMPTED

SERVER = Path("/run/sweep-server")
"""The path in a pod of the folder that says how to reach the server."""


def manifest(job: Job, image: str) -> str:
    """Return the manifest of a job whose pods run `image`, in which `mnist-sweep` is installed.

    Raise JobError if a value contains a control character, which would become a line of the manifest.
    """
    return render(
        "kubernetes.yaml",
        job=job,
        name=job.name.lower(),
        image=image,
        command=shlex.join(["mnist-sweep", *job.arguments]),
        memory=_memory(job.memory),
        seen_as=SERVER,
        variables=VARIABLES,
        preempted=EXIT_PREEMPTED,
        grace=WARNING_SECONDS,
        stagger=STAGGER_SECONDS,
    )


def _memory(text: str | None) -> str | None:
    """Convert Slurm's `4G`, and its `4096`, which are MiB, to Kubernetes' units."""
    if text is None:
        return None
    return f"{text}Mi" if text.isdigit() else f"{text}i"
