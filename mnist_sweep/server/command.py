"""The command line of the server, for `mnist-sweep server` and `python -m mnist_sweep.server`."""

import argparse
from pathlib import Path

from mnist_sweep.server.process.launch import DEFAULT_PORT, KEY_VARIABLE, SHORTEST_KEY

HELP = "run the local W&B server"
EXAMPLE = "mnist-sweep server --port 8080"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the server's options."""
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on [127.0.0.1]")
    add(
        "--port", type=int,
        help=f"TCP port, 0 for any free one [the folder's last port, else {DEFAULT_PORT}, else a free one]",
    )  # fmt: skip
    add("--data", type=Path, metavar="DIR", help="folder of all data [MNIST_SWEEP_SERVER or the user's data folder]")
    add(
        "--key-file", type=Path, metavar="FILE",
        help=f"file with the key that clients must give, at least {SHORTEST_KEY} characters; or set {KEY_VARIABLE}"
        " to the key [a random key in the data folder]",
    )  # fmt: skip
    add("--certificate", type=Path, metavar="FILE", help="serve TLS with this certificate (chain), PEM")
    add("--private-key", type=Path, metavar="FILE", help="the certificate's private key, PEM")
    add("--self-signed", action="store_true", help="serve TLS with a certificate that is created in the data folder")
    add("--entity", default="local", metavar="NAME", help="entity of runs that name none [local]")
    add(
        "--crash-after", type=float, default=300.0, metavar="SECONDS",
        help="silence after which a running run counts as crashed [300]",
    )  # fmt: skip
    add("--idle-timeout", type=float, metavar="SECONDS", help="end after this long without a request [never]")
    start_nothing = parser.add_mutually_exclusive_group()
    start_nothing.add_argument(
        "--env", action="store_true", help="only print the exports for the running server, to be passed to eval"
    )
    start_nothing.add_argument(
        "--login", action="store_true", help="only print a one-time link that logs a browser in to the running server"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal ends it; return the exit code."""
    from mnist_sweep.server import serve

    return serve.run(arguments)
