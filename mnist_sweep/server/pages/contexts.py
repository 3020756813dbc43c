"""What the templates show: one typed context per page. Addresses are paths on this server, ready for `href`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote

from mnist_sweep.review import page as review
from mnist_sweep.review.records import RunRecord, SweepInfo
from mnist_sweep.server.pages.report_blocks import Block
from mnist_sweep.server.store.rows import Artifact, Collection, Run, View
from mnist_sweep.server.sweeps.states import SweepProgress

PageData = Mapping[str, Any]
"""Plain JSON that a page's scripts draw; `review.page_data` and `page_data` make it."""


@dataclass(frozen=True)
class Place:
    """A project, as the path above a page's title names it."""

    entity: str
    project: str

    @property
    def address(self) -> str:
        """The project's page."""
        return f"/{quote(self.entity)}/{quote(self.project)}"


@dataclass(frozen=True, kw_only=True)
class Context:
    """What every page has: its template, and the scripts that it loads."""

    template: ClassVar[str]
    scripts: ClassVar[Sequence[str]] = review.SCRIPTS


@dataclass(frozen=True, kw_only=True)
class ProjectEntry:
    """A row of the list of projects."""

    place: Place
    sweeps: int
    runs: int
    active: str | None


@dataclass(frozen=True, kw_only=True)
class ProjectsPage(Context):
    """All projects, or those of one entity."""

    template: ClassVar[str] = "projects.html"
    origin: str
    projects: Sequence[ProjectEntry]


@dataclass(frozen=True, kw_only=True)
class SweepEntry:
    """A row of a project's sweeps."""

    address: str
    info: SweepInfo
    progress: SweepProgress
    runs: int
    best: str
    metric: str
    active: str


@dataclass(frozen=True, kw_only=True)
class ReportEntry:
    """A row of a project's reports."""

    address: str
    title: str
    view: View


@dataclass(frozen=True, kw_only=True)
class ProjectPage(Context):
    """A project's sweeps, reports, charts and runs; or the runs of one group."""

    template: ClassVar[str] = "project.html"
    scripts: ClassVar[Sequence[str]] = review.WORKSPACE_SCRIPTS
    place: Place
    group: str | None
    left_out: str
    sweeps: Sequence[SweepEntry]
    reports: Sequence[ReportEntry]
    data: PageData


@dataclass(frozen=True, kw_only=True)
class SweepButton:
    """A button that changes a sweep's state. One with an `explanation` asks before it acts."""

    action: str
    label: str
    explanation: str = ""
    danger: bool = False


@dataclass(frozen=True, kw_only=True)
class SweepPage(Context):
    """A sweep: its review, its buttons, the command of an agent, its configuration."""

    template: ClassVar[str] = "sweep.html"
    place: Place
    info: SweepInfo
    config: str
    buttons: Sequence[SweepButton]
    agent: str
    token: str
    data: PageData


@dataclass(frozen=True, kw_only=True)
class NewSweepPage(Context):
    """A form for a new sweep's configuration; `problem` says why the one in `text` was refused."""

    template: ClassVar[str] = "new_sweep.html"
    scripts: ClassVar[Sequence[str]] = ("base.js", "new_sweep.js")
    place: Place
    text: str
    problem: str
    token: str


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """A file for download, or, in an artifact, a reference to one elsewhere."""

    name: str
    href: str | None
    size: int | None
    updated_at: str | None = None
    reference: str | None = None


@dataclass(frozen=True, kw_only=True)
class ArtifactLink:
    """An artifact that a run `logged` or `used`."""

    relation: str
    type: str
    name: str
    address: str


@dataclass(frozen=True, kw_only=True)
class RunPage(Context):
    """A run: what it is, its curves, media, configuration, summary, console, artifacts and files."""

    template: ClassVar[str] = "run.html"
    scripts: ClassVar[Sequence[str]] = review.RUN_SCRIPTS
    place: Place
    run: Run
    record: RunRecord
    colour: str
    config: Sequence[tuple[str, Any]]
    summary: Sequence[tuple[str, Any]]
    artifacts: Sequence[ArtifactLink]
    files: Sequence[FileEntry]
    can_retry: bool
    ended: bool
    token: str
    data: PageData


@dataclass(frozen=True, kw_only=True)
class ComparePage(Context):
    """Runs side by side."""

    template: ClassVar[str] = "compare.html"
    scripts: ClassVar[Sequence[str]] = review.WORKSPACE_SCRIPTS
    place: Place
    count: int
    data: PageData


@dataclass(frozen=True, kw_only=True)
class ArtifactVersion:
    """A version of an artifact; the page shows the `current` one."""

    number: int
    address: str
    current: bool
    aliases: str


@dataclass(frozen=True, kw_only=True)
class ArtifactRun:
    """A run that logged or used an artifact."""

    relation: str
    label: str
    address: str


@dataclass(frozen=True, kw_only=True)
class ArtifactPage(Context):
    """One version of an artifact."""

    template: ClassVar[str] = "artifact.html"
    place: Place
    title: str
    collection: Collection
    artifact: Artifact
    versions: Sequence[ArtifactVersion]
    runs: Sequence[ArtifactRun]
    files: Sequence[FileEntry]
    metadata: Sequence[tuple[str, Any]]


@dataclass(frozen=True, kw_only=True)
class ReportPage(Context):
    """A stored report: its blocks, and the figures of its panels in `data`."""

    template: ClassVar[str] = "report.html"
    scripts: ClassVar[Sequence[str]] = review.REPORT_SCRIPTS
    place: Place
    title: str
    view: View
    blocks: Sequence[Block]
    sweep: str | None
    data: PageData = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RefusalPage(Context):
    """Why there is nothing to see."""

    template: ClassVar[str] = "refusal.html"
    status: int
    reason: str
