"""`mnist-sweep doctor` on machines that are well, and on those that are not."""

import importlib.metadata
import re
from pathlib import Path

from mnist_sweep.server.process.launch import ServerProcess
from tests.e2e.conftest import House


def findings(output: str) -> dict[str, tuple[bool, str]]:
    """Read the printed results: subject -> whether all is well, and the text."""
    found: dict[str, tuple[bool, str]] = {}
    for line in output.splitlines():
        if match := re.match(r"([✓✗]) (.{12}) (.*)", line):
            subject = match[2].strip()
            found[subject] = match[1] == "✓", match[3].strip()
        else:
            well, before = found[subject]
            found[subject] = well, f"{before} {line.strip()}".strip()
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
    assert re.search(r"PyTorch's layers by float32 on cpu 0\.\d%", found["arithmetic"][1])
    assert re.search(r"[\d,]+ images/s with preset step8: [\d,]+ s for a trial of 15 epochs", found["speed"][1])
    assert found["server"][1] == "none is running; commands start a local one, which answered as local"


def test_a_server_that_runs_is_named(served: House) -> None:
    found = findings(served.run("mnist-sweep", "doctor").stdout)
    assert found["server"] == (True, f"{served.env['WANDB_BASE_URL']} answers as local (logged in)")


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
    assert "t10k-labels-idx1-ubyte: run `mnist-sweep data`, which downloads them" in found["data"][1]
    assert found["arithmetic"][1] == found["speed"][1] == "this needs MNIST: see above"
    assert "it does not accept the key" in found["server"][1]
    assert "run `wandb login --relogin`" in found["server"][1]
    assert list((tmp_path / "mnist").iterdir()) == [
        tmp_path / "mnist" / "train-labels-idx1-ubyte"
    ]  # nothing is fetched
