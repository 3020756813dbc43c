"""All colours: of light and dark pages, of figures, and of the terminal.

Figures use the light page's colour of a state, a mid-tone that is readable on both. The page sets the colours of axes,
grid and text.
"""

import zlib
from collections.abc import Mapping
from typing import NamedTuple

from mnist_sweep.review.status import Status


class Colour(NamedTuple):
    """A state's colour on a light page, on a dark page, and as `rich` names it."""

    light: str
    dark: str
    terminal: str


STATES = {
    Status.FINISHED: Colour("#4c78dd", "#6b9bff", "green"),
    Status.QUEUED: Colour("#6f8fa8", "#8fb0c9", "bright_cyan"),
    Status.RUNNING: Colour("#2a9d8f", "#3fc1b3", "cyan"),
    Status.STOPPED: Colour("#8a94a6", "#8a94a6", "bright_black"),
    Status.INFEASIBLE: Colour("#d19a2a", "#e0aa3e", "yellow"),
    Status.DIVERGED: Colour("#d9527e", "#f0729a", "magenta"),
    Status.FAILED: Colour("#b5473c", "#e07a6e", "red"),
    Status.BASELINE: Colour("#9b7fd1", "#b79df0", "blue"),
}
ALIASES = {
    "crashed": Status.FAILED,
    "killed": Status.STOPPED,
    "preempted": Status.STOPPED,
    "canceled": Status.STOPPED,
    "paused": Status.INFEASIBLE,
    "pausing": Status.INFEASIBLE,
    "pending": Status.QUEUED,
    "idle": Status.QUEUED,
    "starting": Status.RUNNING,
    "stopping": Status.RUNNING,
    "preempting": Status.RUNNING,
}
"""States of runs and sweeps without a status of their own."""

ACCENT = "#4c78dd"
FAINT = "rgba(128,138,155,0.35)"
GREY = "#8a94a6"
BEST = "#e0653a"
SERIES = ("#4c78dd", "#e0653a", "#2a9d8f", "#b865c9", "#c99a1f", "#5aa9e6", "#d9527e", "#6a9a3b", "#8f7ae5", "#a0704f")

RUNS = (
    "#5472ea", "#fc7e00", "#007200", "#ae2a78", "#12b4ae", "#d27ef0", "#904e24", "#96a800", "#00727e", "#8442ba",
    "#d88a84", "#969ce4", "#fc6ca8", "#608a5a", "#a86ca2", "#cc3c36", "#b47e00", "#00ba60", "#5a5a96", "#0096d2",
)  # fmt: skip
"""Colours of runs: far apart in OKLab, neighbours most of all, and with a contrast of at least 2.5 on both cards."""

STOPS = (0.0, 0.45, 0.75, 1.0)
SCALES = (("#d5dae3", "#8fb0dd", "#3f6fc4", "#3b1e77"), ("#333b4d", "#3b6ba8", "#49b8b0", "#f6e05e"))
"""A scale from faint to strong for light and dark: the best value stands out on either background."""
SCALE = [[stop, colour] for stop, colour in zip(STOPS, SCALES[0], strict=True)]

_PAGE = {
    "page": ("#f6f7f9", "#0f1218"),
    "card": ("#ffffff", "#171b24"),
    "raised": ("#f1f3f7", "#1f2530"),
    "line": ("#dfe3ea", "#2b3240"),
    "grid": ("#e9ecf1", "#252c38"),
    "ink": ("#171b24", "#e8ebf1"),
    "ink-soft": ("#5a6375", "#a6aebd"),
    "ink-faint": ("#8a93a5", "#737d8f"),
    "accent": ("#3661c9", "#86a8ff"),
    "accent-soft": ("#e7edfb", "#222f4d"),
    "best": ("#d4531f", "#ff9566"),
    "best-soft": ("#fdf1ea", "#2c221e"),
    "edge": ("rgb(20 28 46 / 26%)", "rgb(190 208 255 / 34%)"),
    "shadow": ("0 1px 2px rgb(20 28 46 / 5%), 0 1px 6px rgb(20 28 46 / 4%)", "none"),
}


def run_number(sweep: str, place: int) -> int:
    """Return the number of a run's colour, from its sweep and its place there. Sweeps begin at different colours."""
    return zlib.crc32(sweep.encode()) % len(RUNS) + place


def run_colour(number: int) -> str:
    """Return the colour of a run as `#rrggbb`, the same on every page. It repeats after 20 numbers."""
    return RUNS[number % len(RUNS)]


def stylesheet() -> str:
    """Return the colours as CSS: variables that follow the reader's theme, and a dot for every state."""
    light, dark = _variables(0), _variables(1)
    themes = [
        f":root {{ {light} color-scheme: light; }}",
        f':root[data-theme="dark"] {{ {dark} color-scheme: dark; }}',
        "@media (prefers-color-scheme: dark) {",
        f"  :root:not([data-theme]) {{ {dark} color-scheme: dark; }}",
        "}",
    ]
    names: Mapping[str, Status] = {kind.value: kind for kind in Status} | ALIASES
    return "\n".join([*themes, *(f".dot.{name} {{ background: var(--{kind}); }}" for name, kind in names.items()), ""])


def _variables(theme: int) -> str:
    named = {name: pair[theme] for name, pair in _PAGE.items()}
    named |= {kind.value: colour[theme] for kind, colour in STATES.items()}
    named |= {f"scale-{i}": colour for i, colour in enumerate(SCALES[theme])}
    return " ".join(f"--{name}: {value};" for name, value in named.items())
