"""`mnist-sweep server`: run the local W&B server."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "run the local W&B server"
EXAMPLE = "mnist-sweep server --port 8080"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on [127.0.0.1]")
    parser.add_argument(
        "--port", type=int, default=None, help="port, 0 for a free one [8080, or a free one if that is taken]"
    )
    parser.add_argument(
        "--data", type=Path, default=None, metavar="DIR", help="folder of its data [the user's data folder]"
    )
    parser.add_argument(
        "--key-file", type=Path, default=None, metavar="FILE", help="key that clients must give [the data folder's own]"
    )
    parser.add_argument("--entity", default=None, metavar="NAME", help="entity of runs that name none [local]")
    parser.add_argument(
        "--crash-after", type=float, metavar="SECONDS", help="silence after which a running run counts as crashed [300]"
    )
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="serve TLS with this certificate, PEM")
    parser.add_argument("--private-key", type=Path, metavar="FILE", help="the certificate's private key, PEM")
    parser.add_argument("--self-signed", action="store_true", help="serve TLS with a pair made for this data folder")
    parser.add_argument("--env", action="store_true", help="print how to reach the running server, for a shell's eval")


def run(arguments: argparse.Namespace) -> int:
    from mnist_sweep.server.__main__ import main

    names = ("host", "port", "data", "key_file", "entity", "crash_after", "certificate", "private_key")
    values = ((name.replace("_", "-"), getattr(arguments, name)) for name in names)
    given = [f"--{name}={value}" for name, value in values if value is not None]
    return main(given + [f"--{name}" for name in ("env", "self-signed") if getattr(arguments, name.replace("-", "_"))])
