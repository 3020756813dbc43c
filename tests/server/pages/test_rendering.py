import pytest

from mnist_sweep.server.pages import contexts
from mnist_sweep.server.pages.rendering import _TEMPLATES, PROGRAM, environment, moment, refusal, short


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.1234567891, "0.123457"),
        (None, ""),
        ([1, 2], "[1, 2]"),
        ({"_type": "table-file", "nrows": 3}, "table-file, 3 rows"),
        ("x" * 100, "x" * 79 + "…"),
    ],
)
def test_values_of_cells(value: object, shown: str) -> None:
    assert short(value) == shown


def test_moments() -> None:
    assert moment("2026-01-02T03:04:05.678Z") == "2026-01-02 03:04:05"
    assert moment(None) == ""


def test_a_refusal_is_a_page_in_which_text_stays_text() -> None:
    answer = refusal(environment(), 404, "<b>nothing</b>")
    assert answer.status_code == 404
    assert b"&lt;b&gt;nothing" in bytes(answer.body)
    assert "script-src 'self'" in answer.headers["content-security-policy"]


def test_every_context_has_a_template_and_no_template_names_the_program() -> None:
    pages = contexts.Context.__subclasses__()
    assert {page.template for page in pages} <= {path.name for path in _TEMPLATES.glob("*.html")}
    assert not [path.name for path in _TEMPLATES.glob("*.html") if PROGRAM in path.read_text()]
