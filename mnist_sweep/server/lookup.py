"""The project, sweep or run that a request's address names. Each function raises `NotFound` if there is none."""

import sqlite3

from starlette.requests import Request

from mnist_sweep.server.store.rows import Project, Run, Sweep


def project(db: sqlite3.Connection, request: Request) -> Project:
    """Return the project of `/{entity}/{project}`."""
    named = request.path_params
    return Project.get(db, named["entity"], named["project"])


def sweep(db: sqlite3.Connection, request: Request) -> Sweep:
    """Return the sweep of `/{entity}/{project}/sweeps/{sweep}`."""
    named = request.path_params
    return Sweep.get(db, named["entity"], named["project"], named["sweep"])


def run(db: sqlite3.Connection, request: Request) -> Run:
    """Return the run of `/{entity}/{project}/runs/{run}`."""
    named = request.path_params
    return Run.get(db, named["entity"], named["project"], named["run"])
