"""Reports whose specification is not what the client writes."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnist_sweep.server.pages import report_spec
from tests.server.conftest import Ask

START = """mutation { upsertBucket(input: {name: "r", modelName: "p", summaryMetrics: "{\\"loss\\": 1}"}) {
    bucket { id } } }"""
STORE = """mutation($spec: String!) { upsertView(input: {entityName: "local", projectName: "p", type: "runs", name: "x",
    displayName: "x", spec: $spec}) { view { id } } }"""
KINDS = ["heading", "paragraph", "block-quote", "list", "markdown-block", "code-block", "panel-grid", "?", 7, [], {}]
PANELS = ["Run History Line Plot", "Scatter Plot", "Bar Chart", "Parallel Coordinates Plot", "Parameter Importance",
          "Run Comparer", "Scalar Chart", "Markdown Panel", "Media Browser", "?", 7, [], {}]  # fmt: skip
KEYS = [
    "text", "children", "content", "metadata", "runSets", "panelBankSectionConfig", "panels", "layout", "x", "y", "w",
    "config", "metrics", "mediaKeys", "value", "project", "entityName", "name", "filters", "key", "op", "sort", "keys",
    "columns", "accessor", "limit", "xAxis", "yAxis", "smoothingWeight", "enabled", "section", "targetKey",
]  # fmt: skip
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 30), st.floats(), st.just(10**400),
    st.sampled_from(["loss", "summary:loss", "=", "IN", "<", "r", "\ud800", "local", "p"]),
)  # fmt: skip
mappings = st.fixed_dictionaries(
    {}, optional={"type": st.sampled_from(KINDS), "viewType": st.sampled_from(PANELS)}
)  # fmt: skip
nodes = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.builds(lambda a, b: a | b, mappings, st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)),
    ),
    max_leaves=25,
)
panels = st.builds(
    lambda kind, config, layout: {"viewType": kind, "config": config, "layout": layout},
    st.sampled_from(PANELS), st.one_of(nodes, st.dictionaries(st.sampled_from(KEYS), nodes, max_size=6)), nodes,
)  # fmt: skip
grids = st.builds(
    lambda sets, drawn: {
        "type": "panel-grid",
        "metadata": {"runSets": [{"enabled": True}, *sets], "panelBankSectionConfig": {"panels": drawn}},
    },
    st.lists(nodes, max_size=2), st.lists(panels, max_size=3),
)  # fmt: skip
specs = st.one_of(
    nodes, st.fixed_dictionaries({"blocks": st.one_of(nodes, st.lists(st.one_of(nodes, grids), max_size=3))})
)


def test_any_report_has_a_page(client: httpx.Client, ask: Ask) -> None:
    ask(START)

    @settings(deadline=None, max_examples=300, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(spec=specs)
    def draw(spec: Any) -> None:
        view = ask(STORE, spec=json.dumps(spec))["upsertView"]["view"]["id"]
        answer = client.get(f"/local/p/reports/x--{view}")
        assert answer.status_code == 200, (spec, answer.text)

    draw()


@pytest.mark.parametrize("spec", ["", "nothing", "[]", "null", "7", '{"blocks": 7}', "[" * 100_000])
def test_what_is_no_specification_has_no_blocks(spec: str) -> None:
    assert report_spec.blocks(spec) == []
