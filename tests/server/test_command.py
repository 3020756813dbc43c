"""The command line of the server: the same options for both programs, without importing the server."""

import argparse
import subprocess
import sys

from mnist_sweep.commands import server
from mnist_sweep.server import command


def test_both_programs_share_the_options() -> None:
    assert (server.add_arguments, server.run) == (command.add_arguments, command.run)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert vars(parser.parse_args([])) == {
        "host": "127.0.0.1", "port": None, "data": None, "key_file": None, "certificate": None, "private_key": None,
        "self_signed": False, "entity": "local", "crash_after": 300.0, "idle_timeout": None, "env": False,
        "login": False,
    }  # fmt: skip


def test_the_options_are_known_without_importing_the_server() -> None:
    code = "import sys, mnist_sweep.server.command; print([n for n in ('uvicorn', 'starlette') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
