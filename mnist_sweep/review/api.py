"""Reading a sweep through `wandb.Api()`, from W&B's cloud and from the local server alike."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from mnist_sweep.review.fields import observed_fields, sweep_info
from mnist_sweep.review.media import Confusion, Mistake, confusion_from_table, mistakes_from_table
from mnist_sweep.review.records import LIVE_STATES, RunRecord, SweepInfo, flatten, number, ranked

HISTORY_ROWS = 500


def load(sweep: Any, *, media: int = 3, histories: bool = True) -> tuple[SweepInfo, list[RunRecord]]:
    """A sweep of `wandb.Api().sweep(path)`: what it is, and its runs, oldest first.

    `media` is the number of best runs whose confusion matrix and misclassified images are fetched as well (one request
    a file). A run that was deleted meanwhile is left out.
    """
    records = records_from_api(sweep, histories=histories)
    info = info_from_api(sweep)
    if not info.fields:
        info = replace(info, fields=observed_fields(records))
    wanted = {record.id for record in ranked(records, info)[:media]}
    runs = {run.id: run for run in _runs(sweep)} if wanted else {}
    return info, [with_media(r, runs[r.id]) if r.id in wanted and r.id in runs else r for r in records]


def info_from_api(sweep: Any) -> SweepInfo:
    """What a public sweep says about itself."""
    about = {"id": sweep.id, "entity": sweep.entity, "project": sweep.project, "url": sweep.url}
    return sweep_info(dict(sweep.config), name=str(sweep.name), state=str(getattr(sweep, "state", "") or ""), **about)


def records_from_api(sweep: Any, *, histories: bool = True) -> list[RunRecord]:
    """The sweep's runs as records, oldest first; one request a run for its history."""
    lanes = _lanes(sweep) if histories else {}
    # an agent that serves one trial at a time signs up anew for each; its runs then name it as their job type
    return [_record(run, run.job_type or lanes.get(run.id, ""), histories) for run in _runs(sweep)]


def with_media(record: RunRecord, run: Any) -> RunRecord:
    """The record with the confusion matrix and the misclassified images that its run has logged, if any.

    They are read from the artifacts in which the client keeps logged tables: the copy among the run's files has no
    images.
    """
    confusion: Confusion | None = None
    mistakes: tuple[Mistake, ...] = ()
    for artifact in run.logged_artifacts():
        if artifact.type != "run_table":
            continue
        with tempfile.TemporaryDirectory() as folder:
            with contextlib.redirect_stderr(io.StringIO()):  # it counts the files, which are ours and small
                root = Path(artifact.download(root=folder, skip_cache=True)).resolve()
            for file in sorted(root.rglob("*.table.json")):
                table = json.loads(file.read_text("utf-8"))
                confusion = confusion or confusion_from_table(table)
                mistakes = mistakes or mistakes_from_table(table, partial(_read, root))
    return replace(record, confusion=confusion, mistakes=mistakes)


def _read(root: Path, name: str) -> bytes:
    """A file below `root`; a table may name anything, so nothing outside is read."""
    file = (root / name).resolve()
    if not file.is_relative_to(root):
        raise OSError(f"{name} is outside its artifact")
    return file.read_bytes()


def _runs(sweep: Any) -> list[Any]:
    import wandb

    path = f"{sweep.entity}/{sweep.project}"
    wanted: dict[str, Any] = {"filters": {"sweep": sweep.id}, "order": "+created_at", "per_page": 500}
    return list(wandb.Api().runs(path, **wanted, lazy=False))


def _record(run: Any, lane: str, histories: bool) -> RunRecord:
    attributes = run._attrs  # timestamps have no public name in every client version
    state = str(run.state)
    summary = flatten(dict(run.summary_metrics))
    created = _moment(attributes.get("createdAt"))
    ended = None if state.lower() in LIVE_STATES else _moment(attributes.get("heartbeatAt"))
    return RunRecord(
        id=run.id,
        name=str(run.name or ""),
        state=state,
        config=flatten(dict(run.config)),
        summary=summary,
        history=_plain(run.history(samples=HISTORY_ROWS, pandas=False)) if histories else (),
        created_at=created,
        finished_at=ended,
        agent=lane,
        tags=tuple(run.tags or ()),
        url=str(run.url),
        stop_reason=str(summary.get("stop_reason") or ""),
    )


def _lanes(sweep: Any) -> dict[str, str]:
    """Run id to the name of its agent; empty where the client or the server does not list agents."""
    lanes: dict[str, str] = {}
    try:
        agents = list(sweep.agents())
        hosts = [str(agent._attrs.get("host") or "") for agent in agents]
        for i, (agent, host) in enumerate(zip(agents, hosts, strict=True), start=1):
            name = host if host and hosts.count(host) == 1 else f"{host or 'agent'} {i}"
            lanes |= dict.fromkeys((run.id for run in agent.runs()), name)
    except Exception:  # an older client has no agents(), a server may refuse: the timeline then has one lane
        return {}
    return lanes


def _plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """History rows without media and system keys."""
    return [{key: value for key, value in row.items() if key == "_step" or number(value) is not None} for row in rows]


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
