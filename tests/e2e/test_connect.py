"""Which server a command uses: the user's own where it answers, else the local one."""

from __future__ import annotations

import json

from tests.e2e.conftest import House

WHERE = """
import json, os
from mnist_sweep import connect
said = []
with connect.server(said.append) as server:
    print(json.dumps([server.url, server.local, server.shared, said, os.environ["WANDB_BASE_URL"]]))
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
    house.env |= {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "x" * 40}
    _, local, shared, said, _ = where(house)
    assert local
    assert shared
    assert "http://127.0.0.1:9" in said[0]
    assert "does not answer" in said[0]
