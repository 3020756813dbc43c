"""What a job is, and what it writes for its tasks."""

import subprocess
from pathlib import Path

import pytest

from mnist_sweep.cluster.job import VARIABLES, Job, JobError, render, write_server

VALUES = {"variables": "v", "command": "c", "stagger": 1, "preempted": 75, "unfit": 70}
JOB = Job(sweep="local/p/1A2b", folder=Path("/home/me"), output=Path("/home/me/out"))


def test_a_job_is_named_after_its_sweep() -> None:
    assert JOB.name == "sweep-1A2b"
    assert JOB.server == Path("/home/me/out/server")


@pytest.mark.parametrize(
    ("gpus", "arguments"), [(0, ("agent", "local/p/1A2b")), (2, ("agent", "local/p/1A2b", "--agents-per-gpu", "3"))]
)
def test_a_tasks_agents_share_its_gpus(gpus: int, arguments: tuple[str, ...]) -> None:
    job = Job(sweep=JOB.sweep, folder=JOB.folder, output=JOB.output, gpus=gpus, agents_per_gpu=3)
    assert job.arguments == arguments


def test_the_server_folder_is_for_its_owner_and_read_by_a_shell(tmp_path: Path) -> None:
    certificate, folder = tmp_path / "it's mine.pem", tmp_path / "server"
    certificate.write_text("trusted")
    write_server(folder, {"WANDB_API_KEY": "k'1", "SSL_CERT_FILE": str(certificate), "REQUESTS_CA_BUNDLE": "gone"})
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / VARIABLES).stat().st_mode & 0o777 == 0o600
    shell = '. "$0" && echo "$WANDB_API_KEY $(cat "$SSL_CERT_FILE") $REQUESTS_CA_BUNDLE"'
    done = subprocess.run(["sh", "-c", shell, str(folder / VARIABLES)], capture_output=True, text=True, check=True)
    assert done.stdout == "k'1 trusted gone\n"
    assert sorted(path.name for path in folder.iterdir()) == ["SSL_CERT_FILE.pem", VARIABLES]


def test_tasks_may_see_the_folder_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    write_server(tmp_path / "server", {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}, seen_as=Path("/run/secrets"))
    assert (tmp_path / "server" / VARIABLES).read_text() == "export SSL_CERT_FILE=/run/secrets/SSL_CERT_FILE.pem\n"


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\x00b", "a\x1bb", "a\u2028b"])
def test_a_value_with_a_control_character_is_refused(text: str) -> None:
    with pytest.raises(JobError, match="contains a line break or another control character"):
        render("slurm.sh", job=JOB, options=[text], **VALUES)


def test_other_values_are_rendered_as_they_are() -> None:
    script = render(
        "slurm.sh",
        job=JOB,
        options=["--comment=Größe\t“1”"],
        variables="v",
        command="c",
        stagger=1,
        preempted=75,
        unfit=70,
    )
    assert "#SBATCH --comment=Größe\t“1”\n" in script
