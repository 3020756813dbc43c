"""Which server a command uses: the user's own where it answers, else the local one."""

import json
import re
import subprocess
import sys

import pytest

from tests.e2e.conftest import BIN, House

WHERE = """
import json, os
from mnist_sweep.connection import connect
said = []
with connect.connected_server(said.append) as server:
    print(json.dumps([server.url, server.local, server.temporary, said, os.environ["WANDB_BASE_URL"]]))
"""


def where(house: House) -> tuple[str, bool, bool, list[str], str]:
    url, local, shared, said, env = json.loads(house.python(WHERE).splitlines()[-1])
    return url, local, shared, said, env


def test_without_a_login_a_local_server_starts_and_ends_with_the_command(house: House) -> None:
    url, local, shared, said, env = where(house)
    assert local
    assert shared
    assert env == url
    assert "No W&B login" in said[0]
    assert url in said[0]
    assert where(house)[2]  # the first one is gone: a second command starts its own


def test_a_local_server_that_runs_is_used(served: House) -> None:
    running = served.env.pop("WANDB_BASE_URL")
    del served.env["WANDB_API_KEY"]
    url, local, shared, _, _ = where(served)
    assert local
    assert not shared
    assert url == running


def test_a_server_the_user_is_logged_in_to_is_used(served: House) -> None:
    url, local, shared, said, _ = where(served)
    assert url == served.env["WANDB_BASE_URL"]
    assert not local
    assert not shared
    assert said == []


def test_a_login_that_does_not_answer_is_said_and_replaced(house: House) -> None:
    settings = house.home / ".config" / "wandb" / "settings"
    settings.parent.mkdir(parents=True)
    settings.write_text("[default]\nbase_url = http://127.0.0.1:9\n")
    house.env |= {"WANDB_API_KEY": "x" * 40}
    _, local, shared, said, _ = where(house)
    assert local
    assert shared
    assert "http://127.0.0.1:9" in said[0]
    assert "does not answer" in said[0]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("WANDB_MODE", "offline", "this needs a W&B server, and W&B's mode is offline (WANDB_MODE): unset it"),
        ("WANDB_MODE", "disabled", "this needs a W&B server, and W&B's mode is disabled (WANDB_MODE): unset it"),
        ("WANDB_MODE", "bogus", "W&B's setting mode (WANDB_MODE) is 'bogus': Input should be"),
        ("WANDB_BASE_URL", "not-a-url", "W&B's setting base_url (WANDB_BASE_URL) is 'not-a-url': Input should be"),
        ("WANDB_BASE_URL", "", "W&B's setting base_url (WANDB_BASE_URL) is '': Input should be"),
    ],
)
def test_settings_of_no_use_are_one_line(house: House, name: str, value: str, words: str) -> None:
    house.env |= {name: value}
    done = house.run("mnist-sweep", "agent", "abcdefgh", check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {words}")


@pytest.mark.parametrize(("command", "mode"), [("sweep", "disabled"), ("finals", "offline")])
def test_a_mode_without_a_server_is_refused_by_what_needs_one(house: House, command: str, mode: str) -> None:
    house.env |= {"WANDB_MODE": mode}
    done = house.run("mnist-sweep", command, "abcdefgh", check=False)
    assert done.returncode == 1
    assert done.stderr == f"error: this needs a W&B server, and W&B's mode is {mode} (WANDB_MODE): unset it\n"


def test_a_refused_key_is_reported_as_such(served: House) -> None:
    served.env |= {"WANDB_API_KEY": "0" * 40}
    url = served.env["WANDB_BASE_URL"]
    done = served.run("mnist-sweep", "agent", "abcdefgh", check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {url} does not accept the API key: check WANDB_API_KEY, or run ")
    tiny = [f"--{name}=1" for name in ("epochs", "c1", "c2", "squeeze", "c3", "c4", "c5", "head")]
    done = served.run("mnist-sweep", "train", *tiny, "--batch_size=4096", "--augment_strength=0", "--dropout=0")
    said = (
        f"{url} does not take this run: the API key is not this server's; the run is on disk. To upload it: wandb sync "
    )
    assert said in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="a folder in which nobody may write")
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("HOME", "file", r"W&B's client cannot write to .*/file/\.cache/wandb: Not a directory; set HOME or "),
        ("MNIST_SWEEP_SERVER", "/sys/server", r"the local server did not start: cannot write to its data folder /sys/"),
    ],
)
def test_a_folder_that_cannot_be_written_is_one_line(house: House, name: str, value: str, words: str) -> None:
    (house.home / "file").touch()
    house.env[name] = str(house.home / value)
    done = house.run("mnist-sweep", "agent", "abcdefgh", check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert re.match(f"error: {words}", line)


def test_two_sweeps_do_not_get_in_each_others_way(house: House) -> None:
    """The first to end leaves the second its server, which ends with that."""
    hold = WHERE.replace("    print(", "    input()\n    print(")
    command = [str(BIN / "python"), "-c", hold]
    pipe = subprocess.PIPE
    first, second = (
        subprocess.Popen(command, cwd=house.home, env=house.env, stdin=pipe, stdout=pipe, text=True) for _ in range(2)
    )
    ended, _ = first.communicate("\n", timeout=120)
    url = json.loads(ended.splitlines()[-1])[0]
    assert where(house)[0] == url  # still there
    going_on, _ = second.communicate("\n", timeout=120)
    assert json.loads(going_on.splitlines()[-1])[0] == url


def test_a_server_that_was_asked_for_is_not_replaced(house: House) -> None:
    house.env |= {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "x" * 40}
    done = house.run("mnist-sweep", "agent", "abcdefgh", check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: http://127.0.0.1:9 (WANDB_BASE_URL) does not answer")


def test_a_task_of_a_cluster_starts_no_server_of_its_own(house: House) -> None:
    house.env |= {"SLURM_JOB_ID": "812", "SLURM_ARRAY_JOB_ID": "810", "SLURM_ARRAY_TASK_ID": "3"}
    done = house.run("mnist-sweep", "agent", "abcdefgh", check=False)
    assert done.returncode == 1  # no other node would have it
    assert done.stderr.startswith("error: slurm-810_3 has no key for https://")
