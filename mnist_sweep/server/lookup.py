"""What a request's address names: `/{entity}/{project}`, and a sweep or a run in it. Raises `NotFound`."""

import sqlite3

from starlette.requests import Request

from mnist_sweep.server.store import projects, runs, sweeps


def project(db: sqlite3.Connection, request: Request) -> sqlite3.Row:
    named = request.path_params
    return projects.get(db, named["entity"], named["project"])


def sweep(db: sqlite3.Connection, request: Request) -> sqlite3.Row:
    named = request.path_params
    return sweeps.get(db, named["entity"], named["project"], named["sweep"])


def run(db: sqlite3.Connection, request: Request) -> sqlite3.Row:
    named = request.path_params
    return runs.get(db, named["entity"], named["project"], named["run"])
