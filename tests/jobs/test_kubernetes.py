"""The manifest, against the API's own schema, which kubernetes-validate carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from mnist_sweep.jobs.job import Job
from mnist_sweep.jobs.kubernetes import manifest

JOB = Job(
    sweep="local/mnist/Ab1", folder=Path("/sweeps"), output=Path("/sweeps/out"), tasks=5, gpus=2, agents_per_gpu=2
)
VERSIONS = ("1.31", "1.34", "1.37")


@pytest.fixture
def rendered() -> dict[str, Any]:
    document = yaml.safe_load(manifest(JOB, "registry.example/mnist-sweep:1"))
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("version", VERSIONS)
def test_the_manifest_fits_the_schema_of_the_api(rendered: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(rendered, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schema_would_tell(rendered: dict[str, Any], version: str) -> None:
    rendered["spec"]["podFailurePolicy"]["rules"][1]["onExitCodes"]["exits"] = [75]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(rendered, version, strict=True)


def test_each_pod_is_a_task_that_may_be_preempted(rendered: dict[str, Any]) -> None:
    assert rendered["metadata"]["name"] == "sweep-ab1"  # names are in lower case
    spec = rendered["spec"]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"]) == (5, 5, "Indexed")
    (pod,) = spec["template"]["spec"]["containers"]
    assert pod["command"][-1].endswith("; exec mnist-sweep agent local/mnist/Ab1 --agents-per-gpu 2")
    assert pod["resources"] == {"limits": {"cpu": 1, "nvidia.com/gpu": 2}}
    assert {"action": "Ignore", "onExitCodes": {"containerName": "agent", "operator": "In", "values": [75]}} in (
        spec["podFailurePolicy"]["rules"]
    )
