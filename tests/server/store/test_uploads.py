"""Contents are attached to the row they were announced for, and to no other."""

import httpx
import pytest

from mnist_sweep.server.gql import ids
from mnist_sweep.server.store import Store, files, projects, runs, uploads
from mnist_sweep.server.store.blobs import Blob
from mnist_sweep.server.store.rows import File
from tests.server.conftest import Ask

START = "mutation($n: String, $p: String) { upsertBucket(input: {name: $n, modelName: $p}) { bucket { id } } }"
UPLOAD = """mutation($run: String!, $p: String!) { createRunFiles(input: {entityName: "local", projectName: $p,
    runName: $run, files: ["a.txt"]}) { files { uploadUrl } } }"""


def start(ask: Ask, run: str, project: str) -> str:
    return str(ask(START, n=run, p=project)["upsertBucket"]["bucket"]["id"])


def upload_url(ask: Ask, run: str, project: str) -> str:
    return str(ask(UPLOAD, run=run, p=project)["createRunFiles"]["files"][0]["uploadUrl"])


def test_a_late_upload_to_a_deleted_run_changes_no_other_runs_file(client: httpx.Client, ask: Ask) -> None:
    stale_run = start(ask, "old", "p")
    stale = upload_url(ask, "old", "p")
    ask("mutation($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }", id=stale_run)
    start(ask, "new", "q")
    assert httpx.put(upload_url(ask, "new", "q"), content=b"mine").status_code == 200
    assert httpx.put(stale, content=b"theirs").status_code == 404
    assert client.get("/files/local/q/new/a.txt").content == b"mine"


@pytest.mark.parametrize("column", ["name", "run_id"])
def test_an_address_is_not_valid_for_a_row_that_has_another_meaning(
    client: httpx.Client, ask: Ask, kept: Store, column: str
) -> None:
    """As after a backup was restored: the same id, another file."""
    start(ask, "r", "p")
    other = ids.decode("Run", start(ask, "s", "p"))
    url = upload_url(ask, "r", "p")
    with kept.write() as db:
        db.execute(f"UPDATE files SET {column} = ?", (other if column == "run_id" else "b.txt",))
    assert httpx.put(url, content=b"late").status_code == 404
    with kept.read() as db:
        assert db.execute("SELECT blob FROM files").fetchone()[0] is None


def test_a_late_upload_of_an_artifacts_earlier_file_is_refused(client: httpx.Client, ask: Ask) -> None:
    made = ask("""mutation { createArtifact(input: {entityName: "local", projectName: "p", artifactTypeName: "t",
        artifactCollectionName: "c", digest: "d"}) { artifact { id } } }""")["createArtifact"]["artifact"]["id"]
    announce = """mutation($id: ID!, $md5: String!) { createArtifactFiles(input: {artifactFiles: [{artifactID: $id,
        name: "f", md5: $md5}], storageLayout: V2}) { files { edges { node { uploadUrl } } } } }"""

    def url(md5: str) -> str:
        return str(ask(announce, id=made, md5=md5)["createArtifactFiles"]["files"]["edges"][0]["node"]["uploadUrl"])

    early, late = url("one"), url("two")
    assert httpx.put(early, content=b"one").status_code == 404
    assert httpx.put(late, content=b"two").status_code == 200


def test_only_the_row_with_the_expected_identity_takes_contents(store: Store) -> None:
    blob = Blob("a" * 64, 3, "md5")
    with store.write() as db:
        run = runs.create(db, projects.ensure(db, "local", "p").id, "r", "running")
        row = files.announce(db, run, "f")
        expected = uploads.identity(row)
        assert not uploads.attach_blob(db, "file", row.id + 1, expected, blob)
        assert not uploads.attach_blob(db, "file", row.id, "other", blob)
        assert uploads.find(db, "file", row.id, expected) is None
        assert uploads.attach_blob(db, "file", row.id, expected, blob)
        found = uploads.find(db, "file", row.id, expected)
        assert isinstance(found, File)
        assert (found.blob, found.size, found.md5) == (blob.key, 3, "md5")
        assert uploads.find(db, "file", row.id, "other") is None
