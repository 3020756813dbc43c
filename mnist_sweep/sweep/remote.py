"""A sweep on a server: create it, find it, list a project's sweeps, poll its runs and read its review."""

import contextlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from mnist_sweep.config import FOLD_IMAGES
from mnist_sweep.connection import waiting
from mnist_sweep.environment import environment
from mnist_sweep.errors import UserError, first_line
from mnist_sweep.review import api
from mnist_sweep.review.provenance import Chain
from mnist_sweep.review.ranking import Ranking
from mnist_sweep.review.review import Review, build_review

T = TypeVar("T")


class SweepError(UserError, RuntimeError):
    """A sweep could not be created or read. The message is one line for people."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A sweep on a server."""

    path: str
    """entity/project/id"""
    url: str
    config: Mapping[str, Any]
    state: str = ""

    @property
    def runs_train(self) -> bool:
        """Whether its trials run `mnist_sweep.train`, rather than a program of somebody else's."""
        command = self.config.get("command")
        words = [self.config.get("program"), *(command if isinstance(command, list) else [])]
        return not {"mnist_sweep/train.py", "mnist_sweep.train"}.isdisjoint(map(str, words))

    @property
    def held_out_images(self) -> int | None:
        """Number of images behind one held-out value; None if the trials run another program or differ in it."""
        parameters = self.config.get("parameters")
        spec = parameters.get("held_out_folds", {"value": 1}) if isinstance(parameters, Mapping) else None
        folds = spec.get("value") if isinstance(spec, Mapping) else None
        return FOLD_IMAGES * folds if self.runs_train and isinstance(folds, int) else None


def create(config: Mapping[str, Any], project: str, entity: str | None = None) -> Sweep:
    """Create a sweep on the connected server, by default for the user's own entity.

    Raise SweepError if the server refused it; the message has its reason.
    """
    import wandb

    name = str(config.get("project", project))
    try:
        quiet = io.StringIO()  # the client tells both that it has logged in
        with (
            contextlib.redirect_stdout(quiet),
            contextlib.redirect_stderr(quiet),
            environment({"WANDB_SILENT": "true"}),
        ):
            identifier = wandb.sweep(dict(config), project=name, entity=entity)
    except Exception as error:
        if waiting.unanswered(error):
            raise SweepError("the request to create the sweep was not answered in time: try again") from None
        raise _refusal("the server refused the sweep", error) from None
    return find("/".join([*([entity] if entity else []), name, identifier]), name)


def find(path: str, project: str) -> Sweep:
    """Find a sweep by id, project/id or entity/project/id. `project` is the one for an id alone.

    Raise SweepError if there is no such sweep, or the server refuses the key.
    """
    import wandb

    def ask() -> Any:
        api = wandb.Api()
        parts = path.strip("/").split("/")
        full = {1: [api.default_entity, project, *parts], 2: [api.default_entity, *parts]}.get(len(parts), parts)
        return api.sweep("/".join(str(part) for part in full))

    return _sweep(_request(path if "/" in path.strip("/") else f"{project}/{path}", ask))


def find_all(beside: Sweep) -> list[Sweep]:
    """Return all sweeps of the project that contains `beside`, oldest first."""
    import wandb

    entity, project, _ = beside.path.split("/")
    found = _request(beside.path, lambda: list(wandb.Api().project(project, entity).sweeps()))
    return [_sweep(each) for each in reversed(found)]


def fetch_ranking(sweep: Sweep) -> Ranking:
    """Return the sweep's current runs, ranked, without their histories. Wait while no server answers."""
    return _request(sweep.path, lambda: poll(sweep))


def fetch_review(sweep: Sweep, **options: Any) -> Review:
    """Return the sweep's current review. Wait while no server answers. `options` go to `build_review`."""
    return _request(sweep.path, lambda: read(sweep, **options))


def fetch_chain(sweep: Sweep) -> Chain:
    """Return the finals and the confirmations of the sweep. Wait while no server answers."""
    import wandb

    return _request(sweep.path, lambda: api.chain(wandb.Api().sweep(sweep.path)))


def poll(sweep: Sweep) -> Ranking:
    """Return the sweep's runs as `fetch_ranking` does. Raise the client's own errors."""
    import wandb

    return api.ranking(wandb.Api().sweep(sweep.path), histories=False)


def read(sweep: Sweep, **options: Any) -> Review:
    """Return the sweep's review as `fetch_review` does. Raise the client's own errors."""
    import wandb

    public = wandb.Api().sweep(sweep.path)
    ranking = api.ranking(public)
    return build_review(ranking, media=api.media_of_best(public, ranking), chain=api.chain(public), **options)


def _request(path: str, ask: Callable[[], T]) -> T:
    """Return what `ask` returns. Retry while nothing answers; raise SweepError if the request is refused."""
    import wandb

    url = str(wandb.setup().settings.base_url)

    def answer() -> T | SweepError:
        try:
            return ask()
        except Exception as error:
            if waiting.unanswered(error):
                raise
            if "could not find sweep" in str(error).lower() or "not found" in str(error).lower():
                return SweepError(f"there is no sweep {path} on {url}: check its id on the project's page")
            return _refusal(f"sweep {path}", error)

    answered = waiting.retry_policy(url).retry_until_available(answer)
    if isinstance(answered, SweepError):
        raise answered
    return answered


def _refusal(what: str, error: Exception) -> SweepError:
    """Return the error for people that a refused request becomes. Raise `error` itself if it is not the client's."""
    import wandb

    url, text = wandb.setup().settings.base_url, first_line(error)
    if isinstance(error, wandb.errors.AuthenticationError):
        return SweepError(f"{url} does not accept the API key: check WANDB_API_KEY, or run `wandb login --relogin`")
    if isinstance(error, wandb.errors.Error | ValueError):
        return SweepError(f"{what}: {text}")
    raise error


def _sweep(found: Any) -> Sweep:
    return Sweep(path="/".join(found.path), url=found.url, config=found.config, state=str(found.state))
