"""The user, entities and what the server can do."""

from mnist_sweep.server.gql import account
from tests.server.conftest import Ask


def test_the_user_belongs_to_every_entity_that_is_named(ask: Ask) -> None:
    found = ask("""{ viewer { username entity } named: entity(name: "team") { name user { username } isTeam }
        own: entity { name } organization(name: "team") { name orgEntity { name } } }""")
    assert found["viewer"] == {"username": "local", "entity": "local"}
    assert found["named"] == {"name": "team", "user": {"username": "team"}, "isTeam": False}
    assert found["own"] == {"name": "local"}
    assert found["organization"] == {"name": "team", "orgEntity": {"name": "team"}}


def test_the_client_learns_the_features_and_the_versions_it_may_have(ask: Ask) -> None:
    info = ask("{ serverInfo { cliVersionInfo features { name isEnabled } } }")["serverInfo"]
    assert {feature["name"] for feature in info["features"] if feature["isEnabled"]} == set(account.FEATURES)
    assert info["cliVersionInfo"]["max_cli_version"] == account.MAX_CLIENT
