"""What has to be said before torch loads."""

import subprocess
import sys

WATCH = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print("spins", os.environ.get("GOMP_SPINCOUNT"))
sys.meta_path.insert(0, Watch())
import mnist_sweep.train
"""


def test_how_long_threads_spin_is_said_before_torch_loads() -> None:
    done = subprocess.run([sys.executable, "-c", WATCH], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines()[0] == "spins 30000"
