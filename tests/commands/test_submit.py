"""`mnist-sweep submit`: what it prints, refuses and follows. Real jobs are in tests/e2e."""

import io
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from mnist_sweep.cluster.slurm import Queue
from mnist_sweep.commands.submit import _follow
from mnist_sweep.connection.waiting import RetryPolicy
from mnist_sweep.sweep import live_view
from mnist_sweep.sweep.remote import Sweep
from tests.conftest import RunCommand

ROOT = Path(__file__).parents[2]


def test_submit_shows_its_script_and_asks_nobody(
    run_command: RunCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    code, out, _ = run_command("submit", "local/mnist/abc", "--agents", "4", "--time", "2:00:00", "--dry-run")
    assert code == 0
    assert out.startswith("#!/bin/bash\n#SBATCH --job-name=sweep-abc\n#SBATCH --array=0-3\n#SBATCH --time=2:00:00\n")
    assert "x" * 40 not in out
    assert list(tmp_path.iterdir()) == []
    assert run_command("submit", str(ROOT / "sweeps" / "smoke.yaml"), "--dry-run")[1].startswith("#!/bin/bash")
    monkeypatch.chdir(ROOT)  # by which the file names its scheduler
    code, out, err = run_command("submit", "sweeps/pareto.yaml", "--dry-run")
    assert (code, out) == (1, "")
    assert "needs `wandb sweep-scheduler` beside its agents" in err


def test_submit_needs_a_server_that_stays(
    run_command: RunCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_BASE_URL", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MNIST_SWEEP_SERVER", str(tmp_path / "server"))
    code, _, err = run_command("submit", "abc")
    assert code == 1
    assert err == "error: this needs a server that stays: log in to W&B, or start `mnist-sweep server --host NAME`\n"
    assert run_command("submit", "abc", "--count", "3")[2].startswith("error: --count only applies to a new sweep")


def test_options_become_directives_and_commands_of_the_script(run_command: RunCommand) -> None:
    code, out, err = run_command(
        *("submit", "abc", "--dry-run", "--agents=2", "--cpus=4", "--gpus=2", "--agents-per-gpu=3", "--mem=4G"),
        *("--partition=short", "--account=me", "--sbatch=--qos=low", "--setup=module load cuda"),
    )
    assert (code, err) == (0, "")
    directives = {line.removeprefix("#SBATCH ") for line in out.splitlines() if line.startswith("#SBATCH ")}
    assert directives >= {"--array=0-1", "--cpus-per-task=4", "--partition=short", "--account=me", "--qos=low"}
    assert directives >= {"--gres=gpu:2", "--mem=4G"}
    assert "module load cuda" in [line.strip() for line in out.splitlines()]
    assert "mnist-sweep agent abc --agents-per-gpu 3\n" in out


def test_a_kubernetes_job_is_a_manifest_with_the_image(run_command: RunCommand) -> None:
    code, out, err = run_command("submit", "abc", "--dry-run", "--kubernetes=registry/image:1", "--agents=3")
    assert (code, err) == (0, "")
    (job,) = [found for found in yaml.safe_load_all(out) if found and found["kind"] == "Job"]
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == 3
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "registry/image:1"


@pytest.mark.parametrize("size", ["4X", "0G", "G", "4.5G", "-1", "٤G", "4G\n"])
def test_memory_is_a_size_as_slurm_writes_it(run_command: RunCommand, size: str) -> None:
    line = f"error: argument --mem: {size!r} is no size such as 4G or 512M (see mnist-sweep submit --help)\n"
    assert run_command("submit", "abc", "--dry-run", f"--mem={size}") == (2, "", line)


def test_ctrl_c_ends_the_view_and_not_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(live_view, "follow", interrupted)
    console = Console(file=io.StringIO(), width=200)
    sweep = Sweep(path="local/p/abc", url="http://host/abc", config={})
    assert _follow(sweep, Queue("sweep-abc"), None, console, RetryPolicy("http://host")) == 130
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "Sweep local/p/abc: http://host/abc",
        "The job continues. Follow it again:  mnist-sweep submit local/p/abc --follow",
    ]
