"""`mnist-sweep doctor`: what this machine offers, what is chosen, and whether it works."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from packaging.requirements import Requirement
from packaging.version import Version
from platformdirs import user_state_path
from torch import nn

from mnist_sweep.config import RunConfig, parse
from mnist_sweep.connection import connect
from mnist_sweep.errors import UserError, first_line
from mnist_sweep.training import augment, devices, engine, mnist, model

ROOM = 1 << 30
"""Bytes a folder should have left."""

DEVIATION = {"float32": 0.01, "bfloat16": 0.25}
"""How far a step may be off, as a share of its length: several times what rounding to 24 and to 8 bits makes of it."""

BATCH = 512
STEP = {"preset": "step8", "dropout": 0, "augment_strength": 0, "epochs": 1, "batch_size": BATCH} | {
    "lr_schedule": "constant",
    "max_lr": 0.1,
}
"""One step, in which nothing is random."""

SPEED_IMAGES = 5_120
"""Trained on twice, once to warm up."""


@dataclass(frozen=True)
class Finding:
    """One line of the table."""

    subject: str
    found: str
    advice: str = ""
    """What is wrong and what to do; empty where all is well."""

    @property
    def failed(self) -> bool:
        return bool(self.advice)


def examine() -> Iterator[Finding]:
    """Look at everything, one after the other. A part that cannot even be looked at is a finding, too."""
    for subject, look in {
        "packages": packages,
        "W&B client": client,
        "folders": folders,
        "data": data,
        "device": device,
        "precision": precision,
        "threads": threads,
        "arithmetic": arithmetic,
        "speed": speed,
        "server": server,
    }.items():
        try:
            yield Finding(subject, *look())
        except UserError as error:
            yield Finding(subject, "", str(error))
        except Exception as error:  # a machine that is not well may raise anything
            yield Finding(subject, "", f"{type(error).__name__}: {first_line(error)}")


Found = tuple[str] | tuple[str, str]
"""What was found, and what is wrong with it."""


def packages() -> Found:
    """Whether what is installed is what the project asks for."""
    needed = _requirements()
    wrong = [
        f"{each} is needed, {_version(name) or 'nothing'} is installed"
        for name, each in needed.items()
        if name != "wandb" and not _suits(each)
    ]
    found = f"Python {platform.python_version()}, PyTorch {torch.__version__}, {len(needed)} packages"
    return found, f"{'; '.join(wrong)}: run `pip install -c constraints.txt -e .`" if wrong else ""


def client() -> Found:
    """Whether the W&B client is one that the project and its server were tested with."""
    needed = _requirements()["wandb"]
    told = f"wandb {_version('wandb')} (supported: {needed.specifier})"
    return told, "" if _suits(needed) else f"run `pip install '{needed}'`"


def _requirements() -> dict[str, Requirement]:
    needed = map(Requirement, importlib.metadata.requires("mnist-sweep") or [])
    return {each.name: each for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})}


def _version(package: str) -> Version | None:
    try:
        return Version(importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        return None


def _suits(needed: Requirement) -> bool:
    found = _version(needed.name)
    return found is not None and needed.specifier.contains(found, prereleases=True)


def folders() -> Found:
    """Whether runs and checkpoints can be written, and how much room there is."""
    places = {
        Path(os.environ.get("WANDB_DIR") or "."): "runs: go to a folder of yours, or set WANDB_DIR to one",
        user_state_path("mnist-sweep"): "checkpoints: set HOME or XDG_STATE_HOME to a folder of yours",
        connect.local_folder(): "the local server's data: set HOME or MNIST_SWEEP_SERVER to a folder of yours",
    }
    wrong, room = [], []
    for folder, purpose in places.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"checked")
        except OSError as error:
            wrong.append(f"cannot write to {folder.absolute()} ({error.strerror}), for {purpose}")
            continue
        room.append(shutil.disk_usage(folder).free)
        if room[-1] < ROOM:
            wrong.append(f"only {room[-1] / ROOM:.2f} GiB are left in {folder.absolute()}: make room for {purpose}")
    found = f"writable, {min(room) / ROOM:,.0f} GiB left" if len(room) == len(places) else ""
    return found, "; ".join(wrong)


def data() -> Found:
    """Whether MNIST is there and unaltered. Fetches nothing."""
    folder, missing = mnist.data_folder(), mnist.missing()
    if missing:
        return f"MNIST in {folder}", f"missing or altered: {', '.join(missing)}: run `mnist-sweep data` with a network"
    return (f"MNIST in {folder}, four files checked by SHA-256",)


def device() -> Found:
    said = list[str]()
    chosen = devices.choose("auto", said.append)
    if chosen.type != "cuda":
        return f"cpu: {_processor()}", "".join(said)
    free, total = torch.cuda.mem_get_info(chosen)
    return (f"{chosen}: {torch.cuda.get_device_name(chosen)}, {free / ROOM:.0f} of {total / ROOM:.0f} GiB free",)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    named = re.search(r"model name\s*: (.+)", lines)
    name = named[1] if named else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"


def precision() -> Found:
    chosen = engine.resolve(RunConfig())
    return (f"{chosen.precision} on {chosen.device}",)


def threads() -> Found:
    given = os.environ.get("OMP_NUM_THREADS")
    count = f"{engine.resolve(RunConfig()).threads} on {os.cpu_count()} cores"
    return (count + (f" (OMP_NUM_THREADS={given})" if given else ""),)


def arithmetic() -> Found:
    """One step of training on real digits, on every device, against PyTorch's own layers in float32 on the CPU."""
    images, chosen = _digits(BATCH), devices.choose("auto")
    told, wrong = list[str](), list[str]()
    for kind in dict.fromkeys(("cpu", str(chosen))):
        for arithmetic in dict.fromkeys(("float32", devices.precision("auto", torch.device(kind)))):
            config, said = parse(STEP | {"device": kind, "precision": arithmetic}), list[str]()
            off = deviation(config, images, said.append)
            told.append(f"{arithmetic} on {kind} {off:.1%}")
            if not off <= DEVIATION[arithmetic]:
                advice = "report this table, and " + (
                    "use --device=cpu" if kind != "cpu" else "compare results with care"
                )
                said.append(f"a step in {arithmetic} on {kind} is {off:.1%} off: {advice}")
            wrong += said
    return f"a step against PyTorch's layers: {', '.join(told)} off", "; ".join(wrong)


def deviation(config: RunConfig, images: mnist.Images, say: Callable[[str], None] = lambda line: None) -> float:
    """How far the step that `engine.fit` makes on all `images` is from that of PyTorch's own layers, as a share of it.

    `config` makes one step in which nothing is random, at a constant rate.
    """
    fit = engine.fit(config, mnist.Split(images, images, "train", images.labels), say=say)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = model.build(config.network)
    loss = nn.functional.cross_entropy(network(augment.normalise(images.images)), images.labels)
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    expected = torch.cat([gradient.flatten() for gradient in gradients]) * -config.max_lr
    weights = [nn.utils.parameters_to_vector(each.parameters()).detach().cpu() for each in (network, fit.model)]
    made = weights[1] - weights[0]
    return float((made - expected).norm() / expected.norm())


def speed() -> Found:
    """Training images per second of step 8, after a warm-up."""
    images = _digits(SPEED_IMAGES)
    split = mnist.Split(images, mnist.Images(images.images[:BATCH], images.labels[:BATCH]), "train", images.labels)
    rate = engine.fit(parse({"preset": "step8", "epochs": 2}), split).history[-1].images_per_second
    trial = RunConfig().epochs * len(mnist.selection_split().train.labels) / rate
    return (f"{rate:,.0f} images/s of step 8, {trial:,.0f} s for a trial of {RunConfig().epochs} epochs",)


def _digits(count: int) -> mnist.Images:
    if mnist.missing():  # to fetch them may take long
        raise UserError("this needs MNIST: see above")
    images, labels = mnist.selection_split().train
    return mnist.Images(images[:count], labels[:count])


def server() -> Found:
    """Which W&B server a command would use; one that answers and takes the key."""
    said = list[str]()
    with _quiet(), connect.connected_server(said.append) as found:
        import wandb

        try:
            entity = wandb.Api(timeout=10).default_entity
        except wandb.errors.Error as error:
            return found.url, f"it does not take the key ({first_line(error)}): run `wandb login --relogin`"
    kind = "local, there for as long as it is used" if found.shared else "local" if found.local else "logged in"
    before = [line for line in said if not line.startswith("No W&B login")]
    return ("; ".join([f"{found.url} as {entity} ({kind})", *before]),)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Inside, nothing reaches the terminal's error stream: the client's service logs there where it has no home."""
    before = os.dup(2)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
