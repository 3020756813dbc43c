"""The commands of `mnist-sweep`, one module each: `HELP`, `add_arguments(parser)`, and `run(arguments)` -> exit code.

A module imports only what its parser needs; `run` imports the rest.
"""
