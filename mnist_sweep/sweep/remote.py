"""A sweep on a server: create it, find it, list a project's sweeps, poll its runs and read its review."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mnist_sweep.environment import environment
from mnist_sweep.errors import UserError, first_line
from mnist_sweep.review import api
from mnist_sweep.review.ranking import Ranking
from mnist_sweep.review.review import Review, review


class SweepError(UserError, RuntimeError):
    """A sweep that could not be created or worked on; the message is one line for people."""


@dataclass(frozen=True)
class Sweep:
    """A sweep on a server."""

    path: str
    """entity/project/id"""
    url: str
    config: Mapping[str, Any]
    state: str = ""


def create(config: Mapping[str, Any], project: str, entity: str | None = None) -> Sweep:
    """Create a sweep on the server in use, for the user's own entity by default. Raises SweepError with its reason."""
    import wandb

    try:
        with contextlib.redirect_stdout(io.StringIO()), environment({"WANDB_SILENT": "true"}):
            name = str(config.get("project", project))
            identifier = wandb.sweep(dict(config), project=name, entity=entity)
            return find("/".join([*([entity] if entity else []), name, identifier]), name)
    except (wandb.errors.Error, ValueError) as error:
        raise SweepError(f"the server refused the sweep: {first_line(error)}") from None


def find(path: str, project: str) -> Sweep:
    """An existing sweep by id, project/id or entity/project/id. Raises SweepError where there is none."""
    import wandb

    try:
        api = wandb.Api()
        parts = path.strip("/").split("/")
        full = {1: [api.default_entity, project, *parts], 2: [api.default_entity, *parts]}.get(len(parts), parts)
        found = api.sweep("/".join(str(part) for part in full))
        return _sweep(found)
    except (wandb.errors.Error, ValueError) as error:
        raise SweepError(f"no sweep {path}: {first_line(error)}") from None


def find_all(beside: Sweep) -> list[Sweep]:
    """All sweeps of the project in which `beside` is, oldest first."""
    import wandb

    entity, project, _ = beside.path.split("/")
    return [_sweep(found) for found in reversed(list(wandb.Api().project(project, entity).sweeps()))]


def _sweep(found: Any) -> Sweep:
    return Sweep("/".join(found.path), found.url, found.config, str(found.state))


def poll(sweep: Sweep) -> Ranking:
    """The sweep's runs as they are now, ranked, without their histories."""
    import wandb

    return api.ranking(wandb.Api().sweep(sweep.path), histories=False)


def read(sweep: Sweep, **told: Any) -> Review:
    """The whole review of the sweep as it is now; `told` goes to `review.review.review`."""
    import wandb

    public = wandb.Api().sweep(sweep.path)
    ranking = api.ranking(public)
    return review(ranking, media=api.media_of_best(public, ranking), chain=api.chain(public), **told)
