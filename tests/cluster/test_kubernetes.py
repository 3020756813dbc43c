"""The manifest, against the API's own schema, which kubernetes-validate carries."""

import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from mnist_sweep.cluster.job import Job, write_server
from mnist_sweep.cluster.kubernetes import SERVER, manifest

JOB = Job(
    sweep="local/my mnist/Ab1", folder=Path("/sweeps"), output=Path("/sweeps/out"), tasks=5, cpus=4, gpus=2,
    agents_per_gpu=2, memory="4G", setup=["echo 'a: b' # c"],
)  # fmt: skip
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
    pod = spec["template"]["spec"]
    assert (pod["restartPolicy"], pod["terminationGracePeriodSeconds"]) == ("Never", 60)
    (container,) = pod["containers"]
    assert container["image"] == "registry.example/mnist-sweep:1"
    assert container["resources"] == {"limits": {"cpu": 4, "memory": "4Gi", "nvidia.com/gpu": 2}}
    assert {"action": "Ignore", "onExitCodes": {"containerName": "agent", "operator": "In", "values": [75]}} in (
        spec["podFailurePolicy"]["rules"]
    )


def test_a_pod_that_asks_for_little_says_little() -> None:
    job = Job(sweep="a/b/c", folder=Path(), output=Path(), memory="512")
    document = yaml.safe_load(manifest(job, "image"))
    kubernetes_validate.validate(document, VERSIONS[0], strict=True)
    (container,) = document["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {"limits": {"cpu": 1, "memory": "512Mi"}}


def test_what_a_pod_runs_begins_with_the_servers_variables(rendered: dict[str, Any], tmp_path: Path) -> None:
    (container,) = rendered["spec"]["template"]["spec"]["containers"]
    write_server(tmp_path, {"WANDB_API_KEY": "a key"}, SERVER)
    shell, option, text = container["command"]
    agent = tmp_path / "mnist-sweep"
    agent.write_text('#!/bin/sh\necho "$WANDB_API_KEY"; printf "%s\\n" "$@"\n')
    agent.chmod(0o755)
    here = [shell, option, text.replace(str(SERVER), str(tmp_path))]
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "JOB_COMPLETION_INDEX": "30"}
    done = subprocess.run(here, env=env, capture_output=True, text=True, check=True)
    said = ["a: b", "a key", "agent", "local/my mnist/Ab1", "--agents-per-gpu", "2"]
    assert done.stdout.splitlines() == said


def test_a_pod_that_is_ended_before_its_turn_is_preempted(rendered: dict[str, Any], tmp_path: Path) -> None:
    (container,) = rendered["spec"]["template"]["spec"]["containers"]
    write_server(tmp_path, {}, SERVER)
    shell, option, text = container["command"]
    here = [shell, option, text.replace(str(SERVER), str(tmp_path))]
    with subprocess.Popen(here, env={"JOB_COMPLETION_INDEX": "29"}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "a: b\n"
        process.terminate()
        assert process.wait(20) == 75
