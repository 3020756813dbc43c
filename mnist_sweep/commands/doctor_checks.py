"""The checks of `mnist-sweep doctor`: what this machine offers, what is chosen, and whether it works."""

import contextlib
import importlib.metadata
import multiprocessing
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from packaging.requirements import Requirement
from packaging.version import Version
from platformdirs import user_state_path
from torch import nn

from mnist_sweep.cluster import task as cluster
from mnist_sweep.config import RunConfig, parse
from mnist_sweep.connection import connect
from mnist_sweep.errors import UserError, first_line
from mnist_sweep.training import augment, devices, engine, mnist, model

GIB = 1 << 30
FREE_BYTES = GIB
"""Free space that a folder should have."""

DEVIATION = {"float32": 0.01, "bfloat16": 0.25}
"""How far a training step may be off, relative to its length: several times what rounding to 24 and 8 bits causes."""

BATCH = 512
STEP = {"preset": "step8", "dropout": 0, "augment_strength": 0, "epochs": 1, "batch_size": BATCH} | {
    "lr_schedule": "constant",
    "max_lr": 0.1,
}
"""One step without randomness."""

SPEED_IMAGES = 5_120
"""Images to train on: one epoch to warm up, one to measure."""

TIME_LIMIT = 60.0
"""Seconds after which a check is given up."""
LONG_TIME_LIMIT = 180.0
"""The same for checks that compile and train."""


Found = tuple[str] | tuple[str, str]
"""What a check found and, if something is wrong, what to do."""


@dataclass(frozen=True)
class Result:
    """The result of one check."""

    subject: str
    found: str
    advice: str = ""
    """What is wrong and what to do; empty if all is well."""

    @property
    def failed(self) -> bool:
        return bool(self.advice)


@dataclass(frozen=True)
class Check:
    """One check and its time limit."""

    run: Callable[[], Found]
    time_limit: float = TIME_LIMIT

    def result(self, subject: str) -> Result:
        """Run the check. A check that raises has a result, too."""
        try:
            return Result(subject, *self.run())
        except UserError as error:
            return Result(subject, "", str(error))
        except Exception as error:  # a machine in trouble may raise anything
            return Result(subject, "", f"{type(error).__name__}: {first_line(error)}")


def examine(
    checks: Mapping[str, Check] | None = None, on_start: Callable[[str], None] = lambda subject: None
) -> Iterator[Result]:
    """Run the checks, by default CHECKS, and yield each result as it comes.

    The checks run in another process, so that one that hangs can be ended. The others then run in a new process.
    `on_start` receives the subject of each check before it runs.
    """
    checks = CHECKS if checks is None else checks
    context = multiprocessing.get_context("spawn")
    subjects = [*checks]
    while subjects:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_run_checks, args=(sender, {name: checks[name] for name in subjects}))
        process.start()
        sender.close()
        try:
            answered = True
            while subjects and answered:
                subject = subjects.pop(0)
                on_start(subject)
                result = _receive(receiver, checks[subject].time_limit)
                answered = isinstance(result, Result)
                yield result if isinstance(result, Result) else Result(subject, "", result)
        finally:
            process.kill()
            process.join()


def _run_checks(sender: Connection, checks: Mapping[str, Check]) -> None:
    for subject, check in checks.items():
        sender.send(check.result(subject))


def _receive(receiver: Connection, time_limit: float) -> Result | str:
    """Return the next result, or why there is none."""
    try:
        if receiver.poll(time_limit):
            result: Result = receiver.recv()
            return result
    except EOFError:
        return "the check crashed: report this table"
    return f"no result after {time_limit:.0f} s: the machine is too busy, or the check hangs"


def packages() -> Found:
    """Check that the installed packages are those that the project requires."""
    needed = _requirements()
    wrong = [
        f"{each} is needed, {_version(name) or 'nothing'} is installed"
        for name, each in needed.items()
        if name != "wandb" and not _suits(each)
    ]
    found = f"Python {platform.python_version()}, PyTorch {torch.__version__}, {len(needed)} packages"
    return found, f"{'; '.join(wrong)}: run `pip install -c constraints.txt -e .`" if wrong else ""


def client() -> Found:
    """Check that the W&B client is a version that the project and its server were tested with."""
    needed = _requirements()["wandb"]
    found = f"wandb {_version('wandb')} (supported: {needed.specifier})"
    return found, "" if _suits(needed) else f"run `pip install '{needed}'`"


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
    """Check that runs and checkpoints can be written, and how much space there is."""
    places = {
        Path(os.environ.get("WANDB_DIR") or "."): "runs: change to a folder of yours, or set WANDB_DIR to one",
        user_state_path("mnist-sweep"): "checkpoints: set HOME or XDG_STATE_HOME to a folder of yours",
        connect.local_folder(): "the local server's data: set HOME or MNIST_SWEEP_SERVER to a folder of yours",
    }
    wrong, free_bytes = [], []
    for folder, purpose in places.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"checked")
        except OSError as error:
            wrong.append(f"cannot write to {folder.absolute()} ({error.strerror}), for {purpose}")
            continue
        free_bytes.append(shutil.disk_usage(folder).free)
        if free_bytes[-1] < FREE_BYTES:
            free = f"{free_bytes[-1] / GIB:.2f} GiB"
            wrong.append(f"only {free} are free in {folder.absolute()}: make space for {purpose}")
    found = f"writable, {min(free_bytes) / GIB:,.0f} GiB free" if len(free_bytes) == len(places) else ""
    return found, "; ".join(wrong)


def data() -> Found:
    """Check that MNIST is there and unaltered. Download nothing."""
    folder, missing = mnist.data_folder(), mnist.missing()
    if missing:
        advice = f"missing or altered: {', '.join(missing)}: run `mnist-sweep data`, which downloads them"
        return f"MNIST in {folder}", advice
    return (f"MNIST in {folder}, four files checked by SHA-256",)


def device() -> Found:
    """Return the device on which trainings run."""
    warnings = list[str]()
    chosen = devices.choose("auto", warnings.append)
    if chosen.type != "cuda":
        return f"cpu: {_processor()}", "; ".join(warnings)
    free, total = torch.cuda.mem_get_info(chosen)
    return (f"{chosen}: {torch.cuda.get_device_name(chosen)}, {free / GIB:.0f} of {total / GIB:.0f} GiB free",)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    named = re.search(r"model name\s*: (.+)", lines)
    name = named[1] if named else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"


def precision() -> Found:
    """Return the precision in which trainings compute."""
    chosen = engine.resolve(RunConfig())
    return (f"{chosen.precision} on {chosen.device}",)


def threads() -> Found:
    """Return how many threads PyTorch uses, for all but the training step on a CPU."""
    given = os.environ.get("OMP_NUM_THREADS")
    count = f"{engine.resolve(RunConfig()).threads} on {cluster.cores()} cores; one in the training step on a CPU"
    return (count + (f" (OMP_NUM_THREADS={given})" if given else ""),)


def arithmetic() -> Found:
    """Compare one training step on real digits, on every device, with PyTorch's own layers in float32 on the CPU."""
    images, chosen = _digits(BATCH), devices.choose("auto")
    deviations, wrong = list[str](), list[str]()
    for kind in dict.fromkeys(("cpu", str(chosen))):
        for precision in dict.fromkeys(("float32", devices.precision("auto", torch.device(kind)))):
            config, warnings = parse(STEP | {"device": kind, "precision": precision}), list[str]()
            off = deviation(config, images, warnings.append)
            deviations.append(f"{precision} on {kind} {off:.1%}")
            if not off <= DEVIATION[precision]:
                advice = "use --device=cpu" if kind != "cpu" else "compare results with care"
                warnings.append(f"a step in {precision} on {kind} is {off:.1%} off: report this table, and {advice}")
            wrong += warnings
    return f"a step differs from PyTorch's layers by {', '.join(deviations)}", "; ".join(wrong)


def deviation(config: RunConfig, images: mnist.Images, say: Callable[[str], None] = lambda line: None) -> float:
    """Return how far a step of `engine.fit` on all `images` is from that of PyTorch's layers, relative to its length.

    `config` must make one step without randomness, at a constant learning rate.
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
    """Measure training images per second of the preset step8, after a warm-up."""
    images = _digits(SPEED_IMAGES)
    split = mnist.Split(images, mnist.Images(images.images[:BATCH], images.labels[:BATCH]), "train", images.labels)
    rate = engine.fit(parse({"preset": "step8", "epochs": 2}), split).history[-1].images_per_second
    trial = RunConfig().epochs * len(mnist.selection_split().train.labels) / rate
    return (f"{rate:,.0f} images/s with preset step8: {trial:,.0f} s for a trial of {RunConfig().epochs} epochs",)


def _digits(count: int) -> mnist.Images:
    if mnist.missing():  # a download may take long
        raise UserError("this needs MNIST: see above")
    images, labels = mnist.selection_split().train
    return mnist.Images(images[:count], labels[:count])


def server() -> Found:
    """Check that the W&B server that commands would use answers and accepts the key."""
    messages = list[str]()
    with _quiet():
        with connect.running_server(lambda line: None) as running:
            already_runs = running is not None
        with connect.connected_server(messages.append) as found:
            import wandb

            try:
                entity = wandb.Api(timeout=10).default_entity
            except wandb.errors.Error as error:
                return found.url, f"it does not accept the key ({first_line(error)}): run `wandb login --relogin`"
    if already_runs:
        state = f"{found.url} answers as {entity} ({'local' if found.local else 'logged in'})"
    else:
        state = f"none is running; commands start a local one, which answered as {entity}"
    more = [line for line in messages if not line.startswith(("No W&B login", "Log in a browser"))]
    return ("; ".join([state, *more]),)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Discard what is written to stderr inside the block: the client's service logs there if it has no home."""
    before = os.dup(2)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


CHECKS: Mapping[str, Check] = {
    "packages": Check(packages),
    "W&B client": Check(client),
    "folders": Check(folders),
    "data": Check(data),
    "device": Check(device),
    "precision": Check(precision),
    "threads": Check(threads),
    "arithmetic": Check(arithmetic, LONG_TIME_LIMIT),
    "speed": Check(speed, LONG_TIME_LIMIT),
    "server": Check(server),
}
