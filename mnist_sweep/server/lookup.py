"""The project, sweep or run that a request's address names. Each function raises `NotFound` if there is none."""

import sqlite3

from starlette.requests import Request

from mnist_sweep.server.store import projects, runs, sweeps


def project(db: sqlite3.Connection, request: Request) -> sqlite3.Row:
    """Return the project of `/{entity}/{project}`."""
    named = request.path_params
    return projects.get(db, named["entity"], named["project"])


def sweep(db: sqlite3.Connection, request: Request) -> sqlite3.Row:
    """Return the sweep of `/{entity}/{project}/sweeps/{sweep}`."""
    named = request.path_params
    return sweeps.get(db, named["entity"], named["project"], named["sweep"])


def run(db: sqlite3.Connection, request: Request) -> sqlite3.Row:
    """Return the run of `/{entity}/{project}/runs/{run}`."""
    named = request.path_params
    return runs.get(db, named["entity"], named["project"], named["run"])
