"""What a machine makes of `auto`: device and precision. And a device's failures in words."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Callable, Iterator

import torch

from mnist_sweep.config import ConfigError
from mnist_sweep.errors import UserError, first_line


class DeviceError(UserError, RuntimeError):
    """A device that cannot do the work; the message is one line for people."""


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
    r"busy or unavailable": "another process holds it: wait for that one, or use another --device=cuda:N or cpu",
    r"no kernel image|not compatible with the current PyTorch": (
        "this PyTorch has no code for this GPU: install one that has, or use --device=cpu"
    ),
    r"CUDA error|CUDA driver|cuDNN|CUBLAS|NVML|\bMPS\b": "{error}: run `mnist-sweep doctor`, or use --device=cpu",
}
"""What PyTorch's errors say, as patterns, and what we say."""


def choose(name: str, say: Callable[[str], None] = lambda line: None) -> torch.device:
    """The device meant by the field `device`. `say` is told of a GPU that `auto` cannot use.

    Raises ConfigError for one that is not there.
    """
    if name == "auto":
        missing = unavailable()
        if missing is not None and not re.search(f"{NO_GPU}|not compiled", str(missing)):
            say(f"the GPU is not used: {words(missing)}")
        name = "cpu" if missing is not None else "cuda"
    device = torch.device(name)
    missing = unavailable() if device.type == "cuda" else None
    if missing is not None:
        raise ConfigError(f"device={name} is not available on this machine: {words(missing)}")
    available = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= available.get(device.type, 0):
        raise ConfigError(f"device={name} is not available on this machine: use --device=cpu or --device=auto")
    return device


def unavailable() -> Exception | None:
    """Why no CUDA device can be used, in PyTorch's words; None where one can."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what PyTorch warns of is returned
        try:
            if not torch.cuda.is_available():
                torch.cuda.init()  # which says why
                return RuntimeError("No CUDA GPUs are available")
        except (RuntimeError, AssertionError) as error:
            return error
    return None


def precision(name: str, device: torch.device) -> str:
    """The arithmetic meant by the field `precision`. Raises ConfigError for one that the GPU only imitates, slowly."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            has = torch.cuda.is_bf16_supported(including_emulation=False)
        if name == "bfloat16" and not has:
            raise ConfigError(
                f"precision=bfloat16: {torch.cuda.get_device_name(device)} has none: use --precision=float32"
            )
    else:
        has = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return name if name != "auto" else "bfloat16" if has else "float32"


@contextlib.contextmanager
def explained(device: torch.device | str) -> Iterator[None]:
    """Inside, what PyTorch raises for a device that fails becomes a DeviceError; what it raises for bugs does not."""
    try:
        yield
    except (RuntimeError, AssertionError) as error:
        if isinstance(error, UserError) or not _matching(error):
            raise
        raise DeviceError(f"device={device}: {words(error)}") from None


def words(error: BaseException) -> str:
    """A device's failure in one line: what it is, and what to do."""
    text, matching = str(error), _matching(error)
    tried = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", text)
    return (matching or "{error}: use --device=cpu").format(
        cuda=f", which wants CUDA {torch.version.cuda}" if torch.version.cuda else "",
        tried=f" (it asked for {tried[1]} more)" if tried else "",
        error=first_line(error),
    )


def _matching(error: BaseException) -> str | None:
    return next((told for pattern, told in _ADVICE.items() if re.search(pattern, str(error))), None)
