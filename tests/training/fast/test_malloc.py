"""Freed memory stays with the process."""

import subprocess
import sys

import pytest

RESIDENT = """
import sys
from pathlib import Path
import torch
from mnist_sweep.training.fast import malloc

def megabytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

if sys.argv[1] == "keep":
    malloc.keep_freed()
before = megabytes()
activations = [torch.ones(5 << 20) for _ in range(10)]  # 20 MB each
del activations
print(megabytes() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="changes glibc's allocator")
def test_freed_activations_stay_resident() -> None:
    def left(mode: str) -> int:
        done = subprocess.run([sys.executable, "-c", RESIDENT, mode], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert left("default") < 60
    assert left("keep") > 180
