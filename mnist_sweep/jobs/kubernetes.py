"""A job for Kubernetes: an Indexed Job, as a manifest for `kubectl apply`.

What it relies on: https://kubernetes.io/docs/concepts/workloads/controllers/job/ (completion mode, pod failure policy).
"""

from __future__ import annotations

from typing import Any

import yaml

from mnist_sweep.cluster import EXIT_PREEMPTED
from mnist_sweep.jobs.job import STAGGER_SECONDS, WARNING_SECONDS, Job

MOST_FAILURES = 3
"""A task that fails more often is given up; one that is preempted, or whose node is drained, does not count."""


def manifest(job: Job, image: str) -> str:
    """The manifest of a job whose pods run `image`, in which `mnist-sweep` is installed, and its lines for people."""
    name = job.name.lower()
    command = " ".join(["exec", "mnist-sweep", *job.arguments])
    container = {
        "name": "agent",
        "image": image,
        "command": ["/bin/sh", "-c", f"sleep $((JOB_COMPLETION_INDEX % {STAGGER_SECONDS})); {command}"],
        "envFrom": [{"secretRef": {"name": name}}],
        "env": [
            {"name": "MNIST_SWEEP_KUBERNETES_JOB", "value": name},
            {"name": "MNIST_SWEEP_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "resources": _resources(job),
    }
    spec = {
        "completionMode": "Indexed",
        "completions": job.tasks,
        "parallelism": job.tasks,
        "backoffLimitPerIndex": MOST_FAILURES,
        "podFailurePolicy": {
            "rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {
                    "action": "Ignore",
                    "onExitCodes": {"containerName": "agent", "operator": "In", "values": [EXIT_PREEMPTED]},
                },
            ]
        },
        "template": {
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": WARNING_SECONDS,
                "containers": [container],
            }
        },
    }
    document = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}
    return (
        f"# Agents of the sweep {job.sweep}, one a pod: written by `mnist-sweep submit`, for you to change.\n"
        f"# How to reach the server, with its key, is a secret, which is made of a file that only you can read:\n"
        f"#   kubectl create secret generic {name} --from-env-file={job.server_file}\n"
        f"{yaml.safe_dump(document, sort_keys=False)}"
    )


def _resources(job: Job) -> dict[str, Any]:
    limits: dict[str, Any] = {"cpu": job.cpus}
    if job.gpus:
        limits["nvidia.com/gpu"] = job.gpus
    return {"limits": limits}
