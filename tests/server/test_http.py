"""Bodies: packed, bounded, checked."""

import gzip
import json
import zlib

import httpx

from tests.server.conftest import Ask

VIEWER = {"query": "{ viewer { entity } }"}

START = 'mutation($n: String) { upsertBucket(input: {name: $n, modelName: "p"}) { bucket { id } } }'


def test_gzip_is_unpacked_bounded_and_checked(client: httpx.Client) -> None:
    packed = gzip.compress(json.dumps(VIEWER).encode())
    gzipped = {"Content-Encoding": "gzip"}
    assert client.post("/graphql", content=packed, headers=gzipped).status_code == 200
    assert "ends early" in client.post("/graphql", content=packed[:-9], headers=gzipped).text
    assert "not valid gzip" in client.post("/graphql", content=b"x" + packed, headers=gzipped).text
    assert client.post("/graphql", content=packed, headers={"Content-Encoding": "br"}).status_code == 415
    maker = zlib.compressobj(wbits=31)
    bomb = maker.compress(b"0" * 200_000_000) + maker.flush()
    assert len(bomb) < 1_000_000
    assert client.post("/graphql", content=bomb, headers=gzipped).status_code == 413


def test_ten_megabytes_of_text_are_fine(client: httpx.Client, ask: Ask) -> None:
    text = "a" * 10_000_000
    assert ask("query($n: String) { project(name: $n) { id } }", n=text) == {"project": None}
    ask(START, n="r")
    body = {"files": {"output.log": {"offset": 0, "content": [text]}}}
    assert client.post("/files/local/p/r/file_stream", json=body).status_code == 200


def test_unknown_addresses_are_404(client: httpx.Client) -> None:
    assert client.post("/sdk/otel/v1/metrics", content=b"x").status_code in (404, 405)
    assert client.get("/local/nothing").status_code == 404
    assert client.get("/").status_code == 200
