"""A server with TLS, and the unmodified client: what it has to be told to trust it."""

import datetime
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from mnist_sweep.server.process import certificate, launch, shared_server
from mnist_sweep.server.process.launch import ServerProcess
from tests.server.conftest import BIN, Running, clean_environment

WORK = """
import json, pathlib, wandb
pathlib.Path("weights").write_text("w")
with wandb.init(project="tls", id="safe", settings=wandb.Settings(init_timeout=20)) as run:
    run.log({"loss": 1})
    artifact = wandb.Artifact("model", type="model")
    artifact.add_file("weights")
    run.log_artifact(artifact)
got = pathlib.Path(wandb.Api().artifact("local/tls/model:v0").download("got")) / "weights"
sweep = wandb.sweep({"method": "grid", "parameters": {"x": {"values": [1]}}}, project="tls")
wandb.agent(sweep, function=lambda: wandb.init().finish(), project="tls")
api = wandb.Api()
states = [run.state for run in api.sweep(f"local/tls/{sweep}").runs]
print(json.dumps([[row["loss"] for row in api.run("local/tls/safe").scan_history()], got.read_text(), states]))
"""


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    server = Running(tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("home"), "--self-signed")
    server.start()
    yield server
    server.stop()


def test_the_client_works_over_tls_with_what_env_says(secure: Running) -> None:
    assert secure.url.startswith("https://127.0.0.1:")
    told = secure.run("python", "-m", "mnist_sweep.server", "--data", str(secure.data), "--env", PYTHONPATH=ROOT)
    exports = dict(word.split("=", 1) for word in told.split()[1:])
    assert exports == secure.announcement.variables
    assert secure.python(WORK, **exports) == [[1], "w", ["finished"]]


def test_who_does_not_trust_it_says_nothing_to_it(secure: Running) -> None:
    code = "import wandb; wandb.init(project='tls', settings=wandb.Settings(init_timeout=10))"
    done = subprocess.run([str(BIN / "python"), "-c", code], cwd=secure.home, env=secure.env, capture_output=True)
    assert done.returncode != 0
    assert b"certificate" in done.stderr


def test_a_pair_lasts_until_it_does_not_fit(tmp_path: Path) -> None:
    first = [file.read_bytes() for file in certificate.own_pair(tmp_path, ["sweeps.example", "10.0.0.1"])]
    assert (tmp_path / "private-key.pem").stat().st_mode & 0o777 == 0o600
    assert [file.read_bytes() for file in certificate.own_pair(tmp_path, ["10.0.0.1"])] == first
    second = [file.read_bytes() for file in certificate.own_pair(tmp_path, ["other.example"])]
    assert second[0] != first[0]
    assert second[1] != first[1]


def test_a_certificate_from_the_future_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop whose clock was wrong when it made the certificate."""

    class Wrong(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
            return datetime.datetime.fromtimestamp(time.time() + 48 * 3600, tz)

    with monkeypatch.context() as patch:
        patch.setattr(certificate, "datetime", SimpleNamespace(**vars(datetime) | {"datetime": Wrong}))
        first = certificate.own_pair(tmp_path, ["127.0.0.1"])[0].read_bytes()
    assert certificate.own_pair(tmp_path, ["127.0.0.1"])[0].read_bytes() != first


@pytest.mark.parametrize("damage", [b"", b"not a key", None])
def test_a_key_that_does_not_fit_heals(tmp_path: Path, damage: bytes | None) -> None:
    (tmp_path / "other").mkdir()
    _, key = certificate.own_pair(tmp_path / "other", ["127.0.0.1"])
    pair = certificate.own_pair(tmp_path, ["127.0.0.1"])
    pair[1].write_bytes(key.read_bytes() if damage is None else damage)
    certificate.check(*certificate.own_pair(tmp_path, ["127.0.0.1"]))


def test_a_lost_file_of_trusted_certificates_comes_back(secure: Running) -> None:
    trust = Path(secure.announcement.trust)
    trust.unlink()
    assert not launch.proves(secure.announcement) or trust.exists()
    assert shared_server.find_or_start(secure.data, print) == secure.announcement
    assert trust.exists()


def test_a_pair_of_ones_own(tmp_path: Path) -> None:
    pair = certificate.own_pair(tmp_path, ["127.0.0.1"])
    server = ServerProcess(
        tmp_path / "data", f"--certificate={pair[0]}", f"--private-key={pair[1]}", env=clean_environment(tmp_path)
    )
    found = server.start()
    assert found.url.startswith("https://")
    assert launch.proves(found)
    server.stop()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--certificate=there.pem"], "TLS needs --certificate and --private-key, or --self-signed alone"),
        (
            ["--certificate=not.pem", "--private-key=not.pem"],
            "cannot serve TLS with not.pem: No such file or directory",
        ),
        (["--certificate=key", "--private-key=key"], "cannot serve TLS with key: "),
    ],
)
def test_what_is_no_pair_is_one_line(tmp_path: Path, options: list[str], said: str) -> None:
    (tmp_path / "key").write_text("no certificate")
    command = [sys.executable, "-m", "mnist_sweep.server", "--data=data", *options]
    env = clean_environment(tmp_path) | {"PYTHONPATH": ROOT}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(f"mnist-sweep server: {said}")
    assert len(done.stderr.splitlines()) == 1


ROOT = str(Path(__file__).parents[3])
