"""Versions of artifacts."""

import json

import httpx

from tests.server.conftest import Ask


def test_an_artifact_without_its_files_is_not_committed(client: httpx.Client, ask: Ask) -> None:
    create = """mutation { createArtifact(input: {entityName: "local", projectName: "p", artifactTypeName: "t",
        artifactCollectionName: "c", digest: "d"}) { artifact { id state } } }"""
    key = ask(create)["createArtifact"]["artifact"]["id"]
    commit = {"query": "mutation($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id } } }",
              "variables": {"id": key}}  # fmt: skip
    assert "manifest" in client.post("/graphql", json=commit).json()["errors"][0]["message"]
    announce = """mutation($id: ID!) { createArtifactManifest(input: {artifactID: $id, name: "m", digest: "d",
        entityName: "local", projectName: "p"}) { artifactManifest { file { uploadUrl } } } }"""
    url = ask(announce, id=key)["createArtifactManifest"]["artifactManifest"]["file"]["uploadUrl"]
    httpx.put(url, content=json.dumps({"contents": {"a.txt": {"digest": "x", "size": 1}}}))
    assert "a.txt" in client.post("/graphql", json=commit).json()["errors"][0]["message"]


def test_a_file_is_announced_in_client_028s_words(ask: Ask) -> None:
    """Later clients name their types otherwise; `make conformance` asks with 0.28 itself."""
    create = """mutation { createArtifact(input: {entityName: "local", projectName: "p", artifactTypeName: "t",
        artifactCollectionName: "c", digest: "d"}) { artifact { id } } }"""
    file = {"artifactID": ask(create)["createArtifact"]["artifact"]["id"], "name": "a.txt", "md5": "x"}
    announce = """mutation($files: [CreateArtifactFileSpecInput!]!, $layout: ArtifactStorageLayout!) {
        createArtifactFiles(input: {artifactFiles: $files, storageLayout: $layout}) {
            files { edges { node { storagePath uploadUrl uploadHeaders } } } } }"""
    (edge,) = ask(announce, files=[file], layout="V2")["createArtifactFiles"]["files"]["edges"]
    assert edge["node"]["storagePath"] == "a.txt"
    assert httpx.put(edge["node"]["uploadUrl"], content=b"new").status_code == 200
