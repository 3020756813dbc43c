"""Choose device and precision for `auto`, and explain a device's failures in one line."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Callable, Iterator

import torch

from mnist_sweep.config import ConfigError
from mnist_sweep.errors import UserError, first_line


class DeviceError(UserError, RuntimeError):
    """A device failed. The message is one line for people."""


NO_GPU = r"Found no NVIDIA driver|No CUDA GPUs are available|no CUDA-capable device"
_ADVICE = {
    r"driver .*too old|driver version is insufficient": (
        "its NVIDIA driver is too old for this PyTorch{cuda}: update the driver, install a PyTorch for an older CUDA, "
        "or use --device=cpu"
    ),
    NO_GPU: "no NVIDIA GPU or driver was found: use --device=cpu or --device=auto",
    r"not compiled with CUDA": "this PyTorch was built without CUDA: install one with it, or use --device=cpu",
    r"out of memory|can't allocate memory|ALLOC_FAILED": (
        "out of memory{tried}: run fewer agents on it, take a smaller batch_size, or use another device"
    ),
    r"busy or unavailable": "another process uses it: wait for that process, or use --device=cuda:N or --device=cpu",
    r"no kernel image|not compatible with the current PyTorch": (
        "this PyTorch has no code for this GPU: install one that has, or use --device=cpu"
    ),
    r"CUDA error|CUDA driver|cuDNN|CUBLAS|NVML|\bMPS\b": "{error}: run `mnist-sweep doctor`, or use --device=cpu",
}
"""Patterns of PyTorch's error messages, and the explanation of each."""


def choose(name: str, say: Callable[[str], None] = lambda line: None) -> torch.device:
    """Return the device for the field `device`. `say` receives one line if `auto` cannot use a GPU that exists.

    Raises:
        ConfigError: the machine does not have the device.
    """
    if name == "auto":
        missing = unavailable()
        if missing is not None and not re.search(f"{NO_GPU}|not compiled", str(missing)):
            say(f"the GPU is not used: {explain(missing)}")
        name = "cpu" if missing is not None else "cuda"
    device = torch.device(name)
    missing = unavailable() if device.type == "cuda" else None
    if missing is not None:
        raise ConfigError(f"device={name} is not available on this machine: {explain(missing)}")
    available = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= available.get(device.type, 0):
        raise ConfigError(f"device={name} is not available on this machine: use --device=cpu or --device=auto")
    return device


def unavailable() -> Exception | None:
    """Return PyTorch's error if no CUDA device can be used, else None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the error is returned instead
        try:
            if not torch.cuda.is_available():
                torch.cuda.init()  # raises the reason
                return RuntimeError("No CUDA GPUs are available")
        except (RuntimeError, AssertionError) as error:
            return error
    return None


def precision(name: str, device: torch.device) -> str:
    """Return the arithmetic for the field `precision`. Raises ConfigError if `device` has no fast bfloat16."""
    has = False
    if device.type == "cuda":
        with torch.cuda.device(device):
            has = torch.cuda.is_bf16_supported(including_emulation=False)
        if name == "bfloat16" and not has:
            raise ConfigError(
                f"precision=bfloat16: {torch.cuda.get_device_name(device)} has none: use --precision=float32"
            )
    elif device.type == "cpu" and name == "bfloat16":
        raise ConfigError("precision=bfloat16: on a CPU, trainings compute in float32: use --precision=float32")
    return name if name != "auto" else "bfloat16" if has else "float32"


@contextlib.contextmanager
def explained(device: torch.device | str) -> Iterator[None]:
    """Turn PyTorch's errors about a failing device into DeviceError. Other errors pass."""
    try:
        yield
    except (RuntimeError, AssertionError) as error:
        if isinstance(error, UserError) or not _matching(error):
            raise
        raise DeviceError(f"device={device}: {explain(error)}") from None


def explain(error: BaseException) -> str:
    """Return a device's failure in one line: what is wrong, and what to do."""
    text, matching = str(error), _matching(error)
    tried = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", text)
    return (matching or "{error}: use --device=cpu").format(
        cuda=f", which wants CUDA {torch.version.cuda}" if torch.version.cuda else "",
        tried=f" (it asked for {tried[1]} more)" if tried else "",
        error=first_line(error),
    )


def _matching(error: BaseException) -> str | None:
    return next((advice for pattern, advice in _ADVICE.items() if re.search(pattern, str(error))), None)
