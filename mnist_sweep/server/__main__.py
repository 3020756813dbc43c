"""Start the server: `python -m mnist_sweep.server --port 8080 --data DIR`.

Then, in another terminal:

    eval "$(python -m mnist_sweep.server --data DIR --env)"     # its address and its key
    wandb sweep sweeps/smoke.yaml
"""

import argparse

from mnist_sweep.server import command


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m mnist_sweep.server", description="The local W&B server.", allow_abbrev=False
    )
    command.add_arguments(parser)
    return command.run(parser.parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
