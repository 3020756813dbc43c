"""A run's files in GraphQL."""

import httpx

from tests.server.conftest import Ask

START = 'mutation { upsertBucket(input: {name: "r", modelName: "p"}) { bucket { id } } }'
CREATE = """mutation($files: [String!]!) { createRunFiles(input: {entityName: "local", projectName: "p", runName: "r",
    files: $files}) { files { id name uploadUrl } } }"""
LIST = """query($pattern: String, $first: Int) { project(name: "p") { run(name: "r") { fileCount
    files(pattern: $pattern, first: $first) { totalCount edges { node { id name url directUrl sizeBytes md5 mimetype } }
    pageInfo { hasNextPage } } } } }"""


def test_files_are_announced_sent_listed_and_deleted(client: httpx.Client, ask: Ask) -> None:
    ask(START)
    made = ask(CREATE, files=["a.txt", "media/b.png"])["createRunFiles"]["files"]
    assert [file["name"] for file in made] == ["a.txt", "media/b.png"]
    assert client.put(made[0]["uploadUrl"], content=b"abc").status_code == 200
    run = ask(LIST)["project"]["run"]
    sent, announced = (edge["node"] for edge in run["files"]["edges"])
    assert (sent["sizeBytes"], sent["mimetype"], sent["md5"]) == (3, "text/plain", "kAFQmDzST7DWlj99KOF/cg==")
    assert client.get(sent["url"]).content == client.get(sent["directUrl"]).content == b"abc"
    assert (announced["url"], announced["mimetype"]) == (None, "image/png")
    page = ask(LIST, first=1)["project"]["run"]["files"]
    assert (page["totalCount"], len(page["edges"]), page["pageInfo"]["hasNextPage"]) == (2, 1, True)
    assert len(ask(LIST, pattern="media/%")["project"]["run"]["files"]["edges"]) == 1
    ask("mutation($files: [ID!]!) { deleteFiles(input: {files: $files}) { success } }", files=[sent["id"]])
    assert ask(LIST)["project"]["run"]["fileCount"] == 1
    assert client.get(sent["url"]).status_code == 404
