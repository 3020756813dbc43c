"""What a scheduler tells a process, read back."""

import pytest

from mnist_sweep.agents import child, loop, pool
from mnist_sweep.cluster import task
from mnist_sweep.protocol import EXIT_NODE_UNFIT


@pytest.mark.parametrize(
    ("named", "gpus"),
    [
        ("0", ["0"]),
        ("2,0, 1", ["2", "0", "1"]),
        ("GPU-8f3a-11,MIG-GPU-8f3a/1/0", ["GPU-8f3a-11", "MIG-GPU-8f3a/1/0"]),
        ("", []),
        ("-1", []),
        ("1,-1,2", ["1"]),
        ("NoDevFiles", []),
    ],
)
def test_visible_gpus_are_those_that_cuda_would_see(
    monkeypatch: pytest.MonkeyPatch, named: str, gpus: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert task.gpus() == gpus


def test_agents_are_spread_over_the_gpus_of_their_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    count = pool.agents_for_gpus(2)
    shares = [child.child_environment(number, count) for number in range(1, count + 1)]
    assert [share["CUDA_VISIBLE_DEVICES"] for share in shares] == ["4", "6", "4", "6"]
    names = [share["WANDB_X_EXTRA_HTTP_HEADERS"] for share in shares]
    assert len(set(names)) == 4


def test_a_task_without_the_gpu_it_counts_on_is_misplaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURMD_NODENAME", "node9")
    with pytest.raises(task.NodeError, match="node9 has no visible GPU") as raised:
        pool.agents_for_gpus(1)
    assert raised.value.exit_code == EXIT_NODE_UNFIT
    monkeypatch.delenv("SLURM_JOB_ID")
    assert raised.value.exit_code == 1


def test_a_task_of_an_array_is_named_as_slurm_names_that_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of an array's last task is the array's own: asked about that, Slurm tells of all tasks."""
    for name, value in {"SLURM_JOB_ID": "810", "SLURM_ARRAY_JOB_ID": "810", "SLURM_ARRAY_TASK_ID": "3"}.items():
        monkeypatch.setenv(name, value)
    assert task.task() == task.Task("slurm-810_3", 0, "810_3")


def test_a_task_uses_the_cores_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every cluster binds a task to them."""
    for name in ("SLURM_CPUS_PER_TASK", "MNIST_SWEEP_CPUS"):
        monkeypatch.delenv(name, raising=False)
    seen = task.cores()
    for name in ("SLURM_CPUS_PER_TASK", "MNIST_SWEEP_CPUS"):
        with monkeypatch.context() as given:
            given.setenv(name, "1")
            assert task.cores() == 1
            given.setenv(name, "100000")
            assert task.cores() == seen


@pytest.mark.parametrize(("left", "longest", "enough"), [(180, 100, True), (179, 100, False), (61, 0.5, True)])
def test_a_trial_has_to_end_before_its_task_is_warned(left: float, longest: float, enough: bool) -> None:
    assert loop.enough_time_left(left, longest) is enough


def test_free_memory_is_that_of_the_machine_or_of_the_control_group(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    2048 kB\n"}
    monkeypatch.setattr(task, "_read", lambda file: files.get(str(file), ""))
    assert task.free_memory() == 2048 << 10
    group = "/sys/fs/cgroup/system.slice/job"
    files |= {
        "/proc/self/cgroup": "0::/system.slice/job\n",
        f"{group}/memory.max": "1000000\n",
        f"{group}/memory.current": "900000\n",
        f"{group}/memory.stat": "anon 1\ninactive_file 300000\nfile 2\n",
    }
    assert task.free_memory() == 400_000
    files[f"{group}/memory.max"] = "max\n"
    assert task.free_memory() == 2048 << 10
    files.clear()
    assert task.free_memory() is None
