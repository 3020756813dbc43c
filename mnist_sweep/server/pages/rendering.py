"""Turn a page's context into the answer that a browser gets."""

import json
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from mnist_sweep.review import page as review
from mnist_sweep.server.pages.contexts import Context, RefusalPage

_TEMPLATES = Path(__file__).parent / "templates"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " media-src 'self'; frame-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every page: no script but this server's own files may run."""
PROGRAM = "mnist-sweep"
"""The command whose options pages name."""
_PLOTLY = f"/-/plotly.min.js?{version('plotly')}"


def environment() -> Environment:
    """Return the templates of all pages."""
    found = Environment(
        loader=FileSystemLoader([_TEMPLATES, review.TEMPLATES]), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    found.filters |= {"short": short, "moment": moment, "script_json": review.script_json}
    found.globals |= {"scripts": review.SCRIPTS, "sections": review.SECTIONS, "plotly": _PLOTLY, "program": PROGRAM}
    return found


def render(environment: Environment, context: Context, status: int = 200) -> Response:
    """Return the page of a context."""
    values = {field.name: getattr(context, field.name) for field in fields(context)}
    text = environment.get_template(context.template).render(values, scripts=context.scripts)
    return HTMLResponse(text, status, headers=HEADERS)


def refusal(environment: Environment, status: int, reason: str) -> Response:
    """Return a page that says why there is nothing to see."""
    return render(environment, RefusalPage(status=status, reason=reason), status)


def short(value: Any) -> str:
    """Return a value for a table cell, at most 80 characters long."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict) and "_type" in value:
        value = f"{value['_type']}, {value['nrows']} rows" if "nrows" in value else value["_type"]
    elif isinstance(value, dict | list):
        value = json.dumps(value)
    text = "" if value is None else str(value)
    return text if len(text) <= 80 else text[:79] + "…"


def moment(text: str | None) -> str:
    """Return a stored time for people, to the second."""
    return (text or "").replace("T", " ")[:19]
