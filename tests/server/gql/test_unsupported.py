"""What this server has not, and what it has in W&B's place, as users of the client see it."""

import httpx
import pytest

from tests.server.conftest import Running

TEAMS = """
import json, wandb
def refusal(ask):
    try:
        return repr(ask())
    except Exception as error:
        return str(error).strip()
api = wandb.Api()
with wandb.init(project="shelf") as run:
    artifact = run.log_artifact(wandb.Artifact("net", "model")).wait()
    run.link_artifact(artifact, "wandb-registry-model/best")
with wandb.init(project="reader") as run:
    used = run.use_artifact("wandb-registry-model/best:latest")
team = api.team("local")
print(json.dumps({
    "used": [used.version, used.source_qualified_name],
    "registered": [c.name for c in api.artifact_collections("wandb-registry-model", "model")],
    "organization": api.organization().name,
    "members": [[m.username, m.account_type] for m in team.members],
    "invited": team.invite("somebody"),
    "account": team.create_service_account("robot") is None,
    "refusals": [refusal(ask) for ask in (
        lambda: list(api.automations()),
        lambda: list(api.integrations()),
        lambda: api.create_user("somebody@example.com"),
        lambda: api.upsert_run_queue("queue", {}, "local-container"),
        lambda: api.create_custom_chart(entity="local", name="c", display_name="c", spec_type="vega2",
                                        access="private", spec={}),
        lambda: list(api.registries()),
    )],
}))
"""


def test_teams_registries_and_what_is_absent(running: Running) -> None:
    answer = running.python(TEAMS)
    refusals = answer.pop("refusals")
    assert answer == {
        "used": ["v0", "local/shelf/net:v0"],
        "registered": ["best"],
        "organization": "local",
        "members": [["local", "MEMBER"]],
        "invited": False,
        "account": True,
    }
    for refusal, name in zip(
        refusals,
        ("automations", "integrations", "createUser", "upsertRunQueue", "createCustomChart", "Registry"),
        strict=True,
    ):
        assert name in refusal
        assert "\n" not in refusal
        assert "local server" in refusal or "not enabled on this wandb server" in refusal


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("mutation { createTeam(input: {}) { entity { name } } }", "the mutation createTeam"),
        ("mutation($x: NovelInput!) { novelty(input: $x) { id } }", "the mutation novelty"),
        ("{ viewer { id } novelty { id } }", "the query novelty"),
        ("query A { viewer { id } } query B { viewer { projects { edges { node { id } } } } }", "automations"),
    ],
)
def test_what_a_request_is_about_must_be_known(client: httpx.Client, query: str, reason: str) -> None:
    answer = client.post("/graphql", json={"query": query, "operationName": "B" if "query B" in query else None})
    (error,) = answer.json()["errors"]
    assert reason in error["message"]
    assert "docs/server.md" in error["message"]
