"""What each page shows: from a request's address to the context of its template, or to JSON."""

import re
import sqlite3
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request

from mnist_sweep.review.captions import best_text
from mnist_sweep.review.formatting import REPORT_OF
from mnist_sweep.review.palette import run_colour
from mnist_sweep.server import lookup, records
from mnist_sweep.server.gql import ids
from mnist_sweep.server.pages import actions, artifacts, media, report_blocks, sweep_text
from mnist_sweep.server.pages.contexts import (
    ArtifactPage,
    ComparePage,
    FileEntry,
    PageData,
    Place,
    ProjectEntry,
    ProjectPage,
    ProjectsPage,
    ReportEntry,
    ReportPage,
    RunPage,
    SweepEntry,
    SweepPage,
)
from mnist_sweep.server.pages.page_data import Payloads
from mnist_sweep.server.signed_urls import SignedUrls
from mnist_sweep.server.store import Store, files, projects, runs, sweeps, views
from mnist_sweep.server.store.rows import File, Run, Sweep, View
from mnist_sweep.server.sweeps.states import sweep_progress

_COMPARED = 20


class Views:
    """One method per page. `links` signs the addresses of downloads."""

    def __init__(self, store: Store, links: SignedUrls) -> None:
        self._store = store
        self._links = links
        self._payloads = Payloads(store)

    def projects(self, db: sqlite3.Connection, request: Request) -> ProjectsPage:
        found = projects.listing(db, request.path_params.get("entity"))
        entries = [ProjectEntry(place=Place(row.entity, row.name), **projects.activity(db, row.id)) for row in found]
        return ProjectsPage(origin=_origin(request), projects=entries)

    def project(self, db: sqlite3.Connection, request: Request) -> ProjectPage:
        project = lookup.project(db, request)
        place = Place(project.entity, project.name)
        group = request.path_params.get("group")
        data = self._payloads.project(db, project, group)
        total, shown = runs.count(db, project.id, group), len(data["table"]["rows"])
        return ProjectPage(
            place=place,
            group=group,
            left_out=f"This page shows the newest {shown:,} of {total:,} runs." if shown < total else "",
            sweeps=[] if group else [_sweep_entry(db, row, place) for row in sweeps.listing(db, project.id)],
            reports=[] if group else [_report_entry(row, place) for row in views.listing(db, project.id, "runs")],
            data=data,
        )

    def curves(self, db: sqlite3.Connection, request: Request) -> PageData:
        asked = request.query_params
        project, metrics = lookup.project(db, request), asked.getlist("metric")
        over, since = asked.get("over", ""), _cursor(request, "since")
        return self._payloads.project_curves(db, project, metrics, over, _run_names(request), since)

    def project_news(self, db: sqlite3.Connection, request: Request) -> PageData:
        group, since = request.query_params.get("group"), _cursor(request, "cursor")
        return self._payloads.project_news(db, lookup.project(db, request), group, since)

    def sweep(self, db: sqlite3.Connection, request: Request) -> SweepPage:
        sweep = lookup.sweep(db, request)
        info = records.info(sweep)
        return SweepPage(
            place=Place(sweep.entity, sweep.project),
            info=info,
            config=sweep_text.readable(sweep.config),
            buttons=actions.BUTTONS,
            agent=f"WANDB_BASE_URL={_origin(request)} wandb agent {info.entity}/{info.project}/{info.id}",
            token=actions.token(self._store),
            data=self._payloads.sweep(db, sweep),
        )

    def sweep_news(self, db: sqlite3.Connection, request: Request) -> PageData:
        sweep = lookup.sweep(db, request)
        state = request.query_params.get("state", "")
        return self._payloads.sweep_news(db, sweep, _cursor(request, "cursor"), state)

    def run(self, db: sqlite3.Connection, request: Request) -> RunPage:
        row = lookup.run(db, request)
        record = records.record(db, row)
        return RunPage(
            place=Place(row.entity, row.project),
            run=row,
            record=record,
            colour=run_colour(record.number),
            config=[(name, value) for name, value in sorted(record.config.items()) if not name.startswith("_")],
            summary=[(name, value) for name, value in sorted(record.summary.items()) if not name.startswith("_")],
            artifacts=artifacts.of_run(db, row),
            files=[self._file_entry(file) for file in files.listing(db, row.id)],
            can_retry=actions.can_retry(row),
            ended=row.state not in runs.ALIVE,
            token=actions.token(self._store),
            data=self._payloads.run(db, row, _sweep_of(db, row)),
        )

    def logged(self, db: sqlite3.Connection, request: Request) -> PageData:
        """Return a table or a chart that a run logged, at one of its steps."""
        asked = request.query_params
        line = -1 if asked.get("line") == "-1" else _cursor(request, "line")
        key, chart = asked.get("key", ""), asked.get("chart", "")
        return media.read(self._store, self._links, db, lookup.run(db, request), line, key, chart)

    def run_news(self, db: sqlite3.Connection, request: Request) -> PageData:
        row = lookup.run(db, request)
        return self._payloads.run_news(db, row, _sweep_of(db, row), _cursor(request, "cursor"))

    def artifact(self, db: sqlite3.Connection, request: Request) -> ArtifactPage:
        return artifacts.artifact(self._links, db, request)

    def compare(self, db: sqlite3.Connection, request: Request) -> ComparePage:
        project = lookup.project(db, request)
        names = _run_names(request)[:_COMPARED]
        found = [row for name in names if (row := Run.find(db, project.id, name)) is not None]
        sweep = next((one for row in found if (one := _sweep_of(db, row)) is not None), None)
        return ComparePage(
            place=Place(project.entity, project.name),
            count=len(found),
            data=self._payloads.compare(db, project, found, sweep),
        )

    def report(self, db: sqlite3.Connection, request: Request) -> ReportPage:
        project = lookup.project(db, request)
        text = request.path_params["report"].rsplit("--", 1)[-1]
        view = View.by_id(db, ids.decode("View", text))
        if view.project_id != project.id:
            raise HTTPException(404, "no such report")
        blocks, data = self._payloads.report(db, project, report_blocks.blocks(view.spec))
        sweep = re.search(rf"{REPORT_OF} (\S+)$", view.description or "")
        return ReportPage(
            place=Place(project.entity, project.name),
            title=view.display_name or view.name,
            view=view,
            blocks=blocks,
            sweep=sweep.group(1) if sweep else None,
            data=data,
        )

    def _file_entry(self, row: File) -> FileEntry:
        href = self._links.download(row)
        return FileEntry(name=row.name, href=href, size=row.size, updated_at=row.updated_at)


def _sweep_entry(db: sqlite3.Connection, sweep: Sweep, place: Place) -> SweepEntry:
    ranking, _ = records.best(db, sweep)
    info = ranking.info
    count, active = runs.activity(db, sweep.id)
    return SweepEntry(
        address=f"{place.address}/sweeps/{quote(sweep.name)}",
        info=info,
        progress=sweep_progress(db, sweep),
        runs=count,
        best=best_text(ranking),
        metric=f"{info.metric}, {info.second.name}" if info.second else info.metric,
        active=active or sweep.updated_at,
    )


def _report_entry(view: View, place: Place) -> ReportEntry:
    title = view.display_name or view.name or "report"
    slug = re.sub(r"[^\w-]+", "-", title)
    link = f"{slug}--{ids.encode('View', view.id).rstrip('=')}"
    return ReportEntry(address=f"{place.address}/reports/{link}", title=title, view=view)


def _sweep_of(db: sqlite3.Connection, run: Run) -> Sweep | None:
    return Sweep.by_id(db, run.sweep_id) if run.sweep_id is not None else None


def _origin(request: Request) -> str:
    """Return the address under which the browser reaches this server."""
    return str(request.base_url).rstrip("/")


def _run_names(request: Request) -> list[str]:
    return [name for name in request.query_params.get("runs", "").split(",") if name]


def _cursor(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise HTTPException(400, f"{name} must be a cursor from an earlier answer, not {text[:30]!r}")
    return int(text)
