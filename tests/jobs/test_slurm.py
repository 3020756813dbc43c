"""The batch script: what it says, and what it does when the programs it names do this and that."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from mnist_sweep.jobs.job import Job, write_private
from mnist_sweep.jobs.slurm import script

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
def job(tmp_path: Path) -> Job:
    folder = tmp_path / "my sweeps"
    folder.mkdir()
    return Job(sweep="local/mnist/abc", folder=folder, output=folder / "out", tasks=3)


def start(job: Job, task: int = 0) -> subprocess.Popen[bytes]:
    """Run the job's script as Slurm would, with programs that only tell what they were told; wait for its agent."""
    write_private(job.server_file, {"WANDB_BASE_URL": "http://here", "WANDB_API_KEY": SECRET})
    for name, text in (("mnist-sweep", AGENT), ("scontrol", SCONTROL), ("squeue", SQUEUE)):
        (job.folder / name).write_text(text)
        (job.folder / name).chmod(0o755)
    env = {
        "PATH": f"{job.folder}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "10",  # as of the array's last task
        "SLURM_ARRAY_JOB_ID": "10",
        "SLURM_ARRAY_TASK_ID": str(task),
        "SLURMD_NODENAME": "node3",
    }
    file = job.folder / "job.sh"
    file.write_text(script(job, job.folder / "mnist-sweep"))
    process = subprocess.Popen(["bash", str(file)], env=env)
    deadline = time.monotonic() + 20
    while not ((job.folder / "ready").exists() if task == 0 else sleeping(process.pid)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


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


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [(signal.SIGUSR1, 75, ["warned", "scontrol requeue 10_0"]), (signal.SIGTERM, 130, ["told to end"])],
)
def test_signals_reach_the_agent(job: Job, number: signal.Signals, code: int, told: list[str]) -> None:
    process = start(job)
    process.send_signal(number)
    assert process.wait(20) == code
    assert (job.folder / "said").read_text().splitlines()[1:] == told


def test_a_task_that_is_preempted_before_its_agent_begins_is_requeued(job: Job) -> None:
    process = start(job, task=29)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(20) == 128 + signal.SIGUSR1
    assert (job.folder / "said").read_text().splitlines() == ["scontrol requeue 10_29"]


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
        "--output=" + shlex.quote(f"{job.output}/slurm-%A_%a.log"),
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


def test_the_key_is_for_its_owner_alone_and_not_in_the_script(job: Job) -> None:
    write_private(job.server_file, {"WANDB_API_KEY": SECRET})
    assert job.server_file.stat().st_mode & 0o777 == 0o600
    assert SECRET not in script(job, Path("mnist-sweep"))
