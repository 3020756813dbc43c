"""`mnist-sweep doctor` on machines that are well, and on those that are not."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import numpy as np
import pytest

from mnist_sweep.commands import doctor_checks as doctor
from mnist_sweep.server.process.launch import ServerProcess
from mnist_sweep.training.fast import kernels
from tests.e2e.conftest import House


def findings(output: str) -> dict[str, tuple[bool, str]]:
    """The table, read back: subject -> whether all is well, and what is said."""
    found: dict[str, tuple[bool, str]] = {}
    subject = ""
    for line in output.splitlines():
        cells = [cell.strip() for cell in line.split("│")[1:-1]]
        if len(cells) != 3:
            continue
        subject = cells[1] or subject
        well, before = found.get(subject, (cells[0] == "✓", ""))
        found[subject] = well, f"{before} {cells[2]}".strip()
    return found


def test_a_machine_that_is_well(house: House) -> None:
    """No login, no network, an empty home."""
    done = house.run("mnist-sweep", "doctor")
    found = findings(done.stdout)
    assert list(found) == [
        *("packages", "W&B client", "folders", "data", "device", "precision", "threads", "arithmetic", "speed"),
        "server",
    ]
    assert all(well for well, _ in found.values())
    assert done.stderr == ""
    assert found["W&B client"][1].startswith(f"wandb {importlib.metadata.version('wandb')} (supported: ")
    assert "cores" in found["device"][1] or "GiB" in found["device"][1]
    assert re.search(r"float32 on cpu 0\.\d %? ?off|float32 on cpu 0\.\d%", found["arithmetic"][1])
    assert re.search(r"[\d,]+ images/s of step 8, [\d,]+ s for a trial of 15 epochs", found["speed"][1])
    assert re.search(r"http://127\.0\.0\.1:\d+ as local \(local, there for as long as it is used\)", found["server"][1])


def test_everything_that_can_be_wrong_is_said_at_once(house: House, tmp_path: Path) -> None:
    """A home that is a file, an MNIST file that is damaged, a key that the server does not know."""
    (tmp_path / "file").touch()
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "train-labels-idx1-ubyte").write_bytes(b"damaged")
    server = ServerProcess(tmp_path / "server", env=house.env)
    house.env |= {
        "WANDB_BASE_URL": server.start().url,
        "HOME": str(tmp_path / "file"),
        "WANDB_CACHE_DIR": str(tmp_path / "cache"),
        "MNIST_SWEEP_DATA": str(tmp_path / "mnist"),
        "WANDB_API_KEY": "x" * 40,
    }
    try:
        done = house.run("mnist-sweep", "doctor", check=False)
    finally:
        server.stop()
    found = findings(done.stdout)
    assert (done.returncode, done.stderr) == (1, "")
    assert [subject for subject, (well, _) in found.items() if not well] == [
        *("folders", "data", "arithmetic", "speed", "server")
    ]
    assert f"cannot write to {tmp_path}/file/.local/state/mnist-sweep (Not a directory)" in found["folders"][1]
    assert "set HOME or MNIST_SWEEP_SERVER to a folder of yours" in found["folders"][1]
    assert "t10k-labels-idx1-ubyte: run `mnist-sweep data` with a network" in found["data"][1]
    assert found["arithmetic"][1] == found["speed"][1] == "this needs MNIST: see above"
    assert "it does not take the key" in found["server"][1]
    assert "run `wandb login --relogin`" in found["server"][1]
    assert list((tmp_path / "mnist").iterdir()) == [
        tmp_path / "mnist" / "train-labels-idx1-ubyte"
    ]  # nothing is fetched


def test_compiled_loops_that_compute_something_else(mnist_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a processor's or a compiler's fault would: the gradients of batch norm are halved."""
    backward = kernels.norm_act_backward

    def wrong(*arguments: object) -> tuple[np.ndarray, ...]:
        return tuple(gradient / 2 for gradient in backward(*arguments))

    assert len(doctor.arithmetic()) == 2
    assert doctor.arithmetic()[-1] == ""
    monkeypatch.setattr(kernels, "backward", wrong)
    assert re.search(r"a step in float32 on cpu is \d+\.\d% off: report this table", doctor.arithmetic()[-1])


def test_a_client_that_is_too_new(monkeypatch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: {"wandb": "0.99.0", "rich": "1.0"}.get(name) or version(name)
    )
    found, advice = doctor.client()
    assert found.startswith("wandb 0.99.0 (supported: ")
    assert advice.startswith("run `pip install 'wandb<")
    assert re.search(r"^rich>=\S+ is needed, 1\.0 is installed: run `pip install", doctor.packages()[-1])


def test_a_look_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> tuple[str]:
        raise ValueError("nothing to see\nhere")

    for name in ("arithmetic", "speed", "server"):
        monkeypatch.setattr(doctor, name, broken)
    last = list(doctor.examine())[-1]
    assert (last.subject, last.failed, last.advice) == ("server", True, "ValueError: nothing to see")
