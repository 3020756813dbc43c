"""Read a sweep through `wandb.Api()`, from W&B's cloud or the local server."""

import contextlib
import io
import json
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from mnist_sweep.review import mistakes
from mnist_sweep.review.fields import observed_fields, sweep_info
from mnist_sweep.review.mistakes import Media
from mnist_sweep.review.palette import run_number
from mnist_sweep.review.provenance import JOB_TYPES, Chain, read
from mnist_sweep.review.ranking import Ranking, rank
from mnist_sweep.review.records import RunRecord, SweepInfo, flatten, number, step_metrics
from mnist_sweep.review.status import LIVE_STATES

HISTORY_ROWS = 500


def ranking(sweep: Any, *, histories: bool = True) -> Ranking:
    """Return the ranked runs of a sweep, which `wandb.Api().sweep(path)` gives. `histories` costs a request per run."""
    info, records = info_from_api(sweep), records_from_api(sweep, histories=histories)
    if info.state == "RUNNING" and not any(record.state.lower() in LIVE_STATES for record in records):
        info = replace(info, state="idle")  # on W&B, a sweep without agents is running
    return rank(info if info.fields else replace(info, fields=observed_fields(records)), records)


def info_from_api(sweep: Any) -> SweepInfo:
    """Return what the API says about a sweep."""
    about = {"id": sweep.id, "entity": sweep.entity, "project": sweep.project, "url": sweep.url}
    return sweep_info(dict(sweep.config), name=str(sweep.name), state=str(getattr(sweep, "state", "") or ""), **about)


def records_from_api(sweep: Any, *, histories: bool = True) -> list[RunRecord]:
    """Return the sweep's runs as records, oldest first. A run that was deleted meanwhile is left out."""
    runs = _runs(sweep)
    steps = _step_metrics(runs) if histories else {}
    found = [_record(run, histories) for run in runs]
    return [
        replace(record, step_metrics=steps, number=run_number(sweep.id, place)) for place, record in enumerate(found)
    ]


def chain(sweep: Any) -> Chain:
    """Return the finals and the confirmations of the sweep, in one request."""
    import wandb

    wanted: dict[str, Any] = {"filters": {"jobType": {"$in": list(JOB_TYPES)}}, "order": "+created_at", "per_page": 500}
    runs = wandb.Api().runs(f"{sweep.entity}/{sweep.project}", **wanted, lazy=False)
    return read(info_from_api(sweep), [_record(run, histories=False) for run in runs])


def media_of_best(sweep: Any, ranking: Ranking, count: int = 3) -> dict[str, Media]:
    """Return the confusion matrix and the misclassified images of the best runs by run id; one request per file.

    They are read from the artifacts in which the client stores logged tables. The copy among the run's files has no
    images.
    """
    wanted = {trial.id for trial in ranking.ranked[:count]}
    found = {run.id: _media(run) for run in _runs(sweep) if run.id in wanted} if wanted else {}
    return {run: media for run, media in found.items() if media}


def _media(run: Any) -> Media | None:
    with tempfile.TemporaryDirectory() as folder:
        tables = []
        for i, artifact in enumerate(artifact for artifact in run.logged_artifacts() if artifact.type == "run_table"):
            with contextlib.redirect_stderr(io.StringIO()):  # the client counts the files there
                root = Path(artifact.download(root=f"{folder}/{i}", skip_cache=True)).resolve()
            for file in sorted(root.rglob("*.table.json")):
                tables.append((json.loads(file.read_text("utf-8")), partial(_read, root)))
        return mistakes.from_tables(tables)


def _read(root: Path, name: str) -> bytes:
    """Return the contents of a file below `root`. A table may name any path, so nothing outside is read."""
    file = (root / name).resolve()
    if not file.is_relative_to(root):
        raise OSError(f"{name} is outside its artifact")
    return file.read_bytes()


def _runs(sweep: Any) -> list[Any]:
    import wandb

    path = f"{sweep.entity}/{sweep.project}"
    wanted: dict[str, Any] = {"filters": {"sweep": sweep.id}, "order": "+created_at", "per_page": 500}
    return list(wandb.Api().runs(path, **wanted, lazy=False))


def _record(run: Any, histories: bool) -> RunRecord:
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
        read_at=datetime.now(UTC) if state.lower() == "running" else None,
        group=str(run.group or ""),
        tags=tuple(run.tags or ()),
        url=str(run.url),
        stop_reason=str(summary.get("stop_reason") or ""),
    )


def _step_metrics(runs: list[Any]) -> dict[str, str]:
    """Return the step metrics of the newest run that logged anything: a sweep's runs come from one program.

    The client drops them from listed runs, so the run is requested once more.
    """
    import wandb

    for run in reversed(runs):
        if dict(run.summary_metrics).get("_step") is not None:
            alone = wandb.Api().run("/".join(run.path))
            return step_metrics((alone.rawconfig.get("_wandb") or {}).get("m"))
    return {}


def _plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return history rows without media and system keys."""
    return [{key: value for key, value in row.items() if key == "_step" or number(value) is not None} for row in rows]


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
