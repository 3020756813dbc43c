"""What a device does not do is one line. The errors are PyTorch's own, raised where PyTorch raises them."""

import contextlib
import subprocess
import sys
from typing import Any

import pytest
import torch

from mnist_sweep.config import ConfigError, parse
from mnist_sweep.errors import UserError
from mnist_sweep.training import augment, devices, engine
from mnist_sweep.training.devices import DeviceError
from mnist_sweep.training.mnist import Images, Split
from tests.conftest import Desk

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")

QUICK = {"c1": 2, "c2": 2, "c5": 2, "device": "cpu", "precision": "float32", "threads": 1, "epochs": 1}

# as PyTorch words them, each with lines below that are left out here
OUT_OF_MEMORY = torch.OutOfMemoryError(
    "CUDA out of memory. Tried to allocate 2.30 GiB. GPU 0 has a total capacity of 7.79 GiB of which 1.12 GiB is free."
)
BUSY = "CUDA error: all CUDA-capable devices are busy or unavailable\nCUDA kernel errors might be asynchronously …"
NO_IMAGE = "CUDA error: no kernel image is available for execution on the device\nCUDA kernel errors might be …"
LAUNCH = "CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported …"
OLD_DRIVER = (
    "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver by downloading "
    "and installing a new version from the URL: http://www.nvidia.com/Download/index.aspx Alternatively, go to: "
    "https://pytorch.org to install a PyTorch version that has been compiled with your version of the CUDA driver."
)


@pytest.mark.parametrize(
    ("raised", "line"),
    [
        (
            OUT_OF_MEMORY,
            "out of memory (it asked for 2.30 GiB more): run fewer agents on it, take a smaller batch_size, or use "
            "another device",
        ),
        (
            RuntimeError("cuBLAS error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            "out of memory: run fewer agents on it, take a smaller batch_size, or use another device",
        ),
        (
            torch.AcceleratorError(BUSY),
            "another process uses it: wait for that process, or use --device=cuda:N or --device=cpu",
        ),
        (
            torch.AcceleratorError(NO_IMAGE),
            "this PyTorch has no code for this GPU: install one that has, or use --device=cpu",
        ),
        (
            torch.AcceleratorError(LAUNCH),
            "CUDA error: unspecified launch failure: run `mnist-sweep doctor`, or use --device=cpu",
        ),
    ],
    ids=["memory", "cublas", "busy", "image", "launch"],
)
@pytest.mark.parametrize("place", ["copy", "step", "evaluation"])
def test_a_device_that_fails_is_one_line(
    raised: Exception, line: str, place: str, small: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any, **named: Any) -> Any:
        raise raised

    holder, name = {"copy": (Images, "to"), "step": (augment, "augment"), "evaluation": (augment, "normalise")}[place]
    monkeypatch.setattr(holder, name, fail)
    with pytest.raises(DeviceError) as error:
        engine.fit(parse(QUICK), small)
    assert str(error.value) == f"device=cpu: {line}"


def test_memory_that_this_machine_does_not_have(small: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU's real allocator, asked for a million gigabytes."""
    monkeypatch.setattr(augment, "augment", lambda *_: torch.empty(1 << 50))
    with pytest.raises(DeviceError, match=r"^device=cpu: out of memory"):
        engine.fit(parse(QUICK), small)


def test_a_mistake_stays_a_mistake(small: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "augment", lambda *_: torch.zeros(3) @ torch.zeros(4))
    with pytest.raises(RuntimeError, match=r"same number of elements|size") as error:
        engine.fit(parse(QUICK), small)
    assert not isinstance(error.value, UserError)


def test_a_run_that_runs_out_of_memory_ends_with_one_line(desk: Desk) -> None:
    code = (
        "import sys, torch; from mnist_sweep import train; from mnist_sweep.training import augment\n"
        "augment.augment = lambda *_: torch.empty(1 << 50)\n"
        "sys.exit(train.main(['--threads=1', '--device=cpu']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=desk.folder, env=desk.env, capture_output=True, text=True)
    (run,) = desk.offline_runs
    assert (done.returncode, done.stderr, run.exit_code) == (1, "", 1)
    assert done.stdout.startswith("error: device=cpu: out of memory")
    assert len(done.stdout.splitlines()) == 1


# --- no GPU, or one that is of no use ---------------------------------------------------------------------------------


@no_gpu
def test_no_gpu() -> None:
    said = list[str]()
    with pytest.raises(ConfigError) as error:
        devices.choose("cuda")
    assert str(error.value).startswith("device=cuda is not available on this machine: ")
    assert len(str(error.value).splitlines()) == 1
    assert devices.choose("auto", said.append).type == "cpu"
    assert said == []  # nothing is wrong with a machine that has none


@no_gpu
def test_an_old_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def init() -> None:
        raise RuntimeError(OLD_DRIVER)

    monkeypatch.setattr(torch._C, "_cuda_init", init, raising=False)
    monkeypatch.setattr(torch._C, "_cuda_getDeviceCount", lambda: 0, raising=False)
    monkeypatch.setattr(torch.cuda, "_cudart", object())
    said = list[str]()
    told = "its NVIDIA driver is too old for this PyTorch"
    assert engine.resolve(parse({"device": "auto"}), said.append).device == "cpu"
    assert said[0].startswith(f"the GPU is not used: {told}")
    with pytest.raises(ConfigError, match=f"^device=cuda is not available on this machine: {told}"):
        engine.resolve(parse({"device": "cuda"}))


class FakeGPU:
    """As PyTorch describes a GPU of 2016."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {
            "is_available": True,
            "device_count": 1,
            "is_bf16_supported": False,
            "get_device_name": "NVIDIA GeForce GTX 1080",
        }.items():
            monkeypatch.setattr(torch.cuda, name, lambda *_, value=value, **__: value)
        monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())


def test_a_gpu_without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeGPU(monkeypatch)
    resolved = engine.resolve(parse({}))
    assert (resolved.device, resolved.precision) == ("cuda", "float32")
    with pytest.raises(ConfigError) as error:
        engine.resolve(parse({"precision": "bfloat16"}))
    assert str(error.value) == "precision=bfloat16: NVIDIA GeForce GTX 1080 has none: use --precision=float32"
    with pytest.raises(ConfigError, match=r"^device=cuda:1 is not available"):
        engine.resolve(parse({"device": "cuda:1"}))


def test_a_cpu_computes_in_float32() -> None:
    assert engine.resolve(parse({"device": "cpu"})).precision == "float32"
    with pytest.raises(ConfigError, match=r"^precision=bfloat16: on a CPU, .*: use --precision=float32$"):
        engine.resolve(parse({"device": "cpu", "precision": "bfloat16"}))


def test_training_needs_no_compiler_of_pytorchs(desk: Desk) -> None:
    """A build without `torch.compile` (no Dynamo, no Inductor, no Triton) trains."""
    code = (
        "import sys\n"
        "for name in ('torch._dynamo', 'torch._inductor', 'triton'): sys.modules[name] = None\n"
        "from mnist_sweep.config import parse; from mnist_sweep.training import engine, mnist\n"
        "few = mnist.Images(*(part[:256] for part in mnist.selection_split().train))\n"
        "split = mnist.Split(few, few, 'val', few.labels)\n"
        "engine._fast = lambda network, device: network\n"  # as on a GPU: PyTorch's own layers
        "fit = engine.fit(parse({'epochs': 1, 'device': 'cpu', 'precision': 'float32'}), split)\n"
        "print(len(fit.history))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=desk.folder, env=desk.env, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("1\n", "")
