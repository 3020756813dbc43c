"""W&B's own check of self-hosted servers."""

import subprocess

from tests.server.conftest import Running


def test_wandb_verify_passes_all_but_encryption(running: Running) -> None:
    done = subprocess.run(
        [str(running.programs / "wandb"), "verify", "--host", running.url],
        cwd=running.home,
        env=running.env,
        capture_output=True,
        text=True,
        timeout=240,
    )
    failed = [line.split("..")[0] for line in done.stdout.splitlines() if "\u274c" in line]
    passed = [line for line in done.stdout.splitlines() if "\u2705" in line]
    # A loopback server speaks plain HTTP; the check counts that as a warning and still exits with 0.
    assert failed == ["Checking requests to base url", "Checking requests made over signed URLs"], done.stdout
    assert len(passed) == 8, done.stdout
    assert done.returncode == 0, done.stdout + done.stderr
