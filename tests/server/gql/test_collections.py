"""Artifacts and their collections, with the real client."""

from tests.server.conftest import Ask, Running

ARTIFACTS = """
import json, wandb
def log(text, **settings):
    with wandb.init(project="things") as run:
        artifact = wandb.Artifact("thing", "dataset")
        with artifact.new_file("a.txt") as file:
            file.write(text)
        artifact.add_reference("https://example.com/data.bin", name="far", checksum=False)
        return run.log_artifact(artifact, **settings).wait().name
versions = [log("1"), log("2"), log("1", aliases=["first"])]
api = wandb.Api()
thing = api.artifact("local/things/thing:v1")
thing.aliases.append("second")
thing.tags = ["tagged"]
thing.metadata["k"] = 2
thing.description = "described"
thing.save()
with wandb.init(project="things") as run:
    run.link_artifact(thing, "local/things/chosen")
    draft = thing.new_draft()
    with draft.new_file("b.txt") as file:
        file.write("more")
    run.log_artifact(draft).wait()
api = wandb.Api()
found = api.artifact("local/things/thing:second")
linked = api.artifact("local/things/chosen:latest")
grown = api.artifact("local/things/thing:v2")
answer = {
    "versions": versions,
    "first": api.artifact("local/things/thing:first").version,
    "second": [found.version, found.tags, found.metadata, found.description, sorted(found.aliases)],
    "far": found.get_entry("far").ref,
    "linked": [linked.version, linked.digest == found.digest],
    "grown": sorted(entry for entry in grown.manifest.entries),
    "text": open(grown.get_entry("a.txt").download()).read(),
    "collections": sorted(found.name for found in api.artifact_collections("local/things", "dataset")),
    "types": sorted(found.name for found in api.artifact_types("local/things")),
    "missing": api.artifact_exists("local/things/thing:v9"),
}
api.artifact("local/things/thing:v1").delete(delete_aliases=True)
answer["gone"] = wandb.Api().artifact_exists("local/things/thing:v1")
answer["next"] = log("3")
print(json.dumps(answer))
"""


def test_artifacts_have_versions_aliases_links_and_drafts(running: Running) -> None:
    assert running.python(ARTIFACTS) == {
        "versions": ["thing:v0", "thing:v1", "thing:v0"],
        "first": "v0",
        "second": ["v1", ["tagged"], {"k": 2}, "described", ["second"]],
        "far": "https://example.com/data.bin",
        "linked": ["v0", True],
        "grown": ["a.txt", "b.txt", "far"],
        "text": "2",
        "collections": ["chosen", "thing"],
        "types": ["dataset"],
        "missing": False,
        "gone": False,
        "next": "thing:v3",
    }


def test_an_artifact_type_is_a_name_in_its_project(ask: Ask) -> None:
    create = """mutation($type: String!, $name: String!) { createArtifact(input: {entityName: "local", projectName: "p",
        artifactTypeName: $type, artifactCollectionName: $name, digest: "d"}) { artifact { id } } }"""
    for kind, name in (("dataset", "digits"), ("dataset", "letters"), ("model", "net")):
        ask(create, type=kind, name=name)
    found = ask("""{ project(name: "p") { artifactTypes { edges { node { name } } } none: artifactType(name: "x") { id }
        artifactType(name: "dataset") { id name description createdAt artifactCollection(name: "net") { id }
        artifactCollections { edges { node { name state defaultArtifactType { name } } } } } } }""")["project"]
    assert [edge["node"]["name"] for edge in found["artifactTypes"]["edges"]] == ["dataset", "model"]
    kind = found["artifactType"]
    assert (kind["name"], kind["description"], kind["artifactCollection"], found["none"]) == (
        "dataset",
        None,
        None,
        None,
    )
    assert kind["id"]
    assert kind["createdAt"]
    ready = {"state": "READY", "defaultArtifactType": {"name": "dataset"}}
    nodes = [edge["node"] for edge in kind["artifactCollections"]["edges"]]
    assert nodes == [{"name": "letters", **ready}, {"name": "digits", **ready}]
