"""A person with a browser, and pages of other sites that try to use what that browser knows."""

import http.server
import json
import re
import threading
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from mnist_sweep.server.store import Store
from tests.server.conftest import Ask

START = 'mutation { upsertBucket(input: {name: "victim", displayName: "victim", modelName: "p"}) { bucket { id } } }'
EVIL = """<!doctype html><title>evil</title>
<form id=form method=post action="{url}/graphql" enctype=text/plain>
<input name='{head}' value='"}}'></form>
<a id=link href="{url}/local/p">a link</a>
<script>
async function attack() {{
  const body = {body!r}
  for (const mode of ["no-cors", "cors"]) for (const type of ["text/plain", undefined])
    await fetch("{url}/graphql", {{method: "POST", mode, credentials: "include", body,
      headers: type ? {{"Content-Type": type}} : {{}}}}).catch(() => 0)
  const form = {{method: "POST", mode: "no-cors", credentials: "include", body: "action=x"}}
  await fetch("{url}/local/p/runs/victim", form)
  document.title = "done"
}}
</script>"""


@pytest.fixture
def person(browser: Browser, client: httpx.Client, kept: Store) -> Iterator[Page]:
    """A page of somebody who has logged in."""
    page = browser.new_page()
    page.goto(f"{client.base_url}")
    page.get_by_label("Key").fill(kept.key)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Projects")).to_be_visible()
    yield page
    page.close()


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, dict[str, str]]]:
    """Another site, `localhost` to our `127.0.0.1`, and its pages by their paths."""
    pages: dict[str, str] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(pages.get(self.path, "").encode())

        def log_message(self, *_: object) -> None:
            pass

    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    yield f"http://localhost:{site.server_port}", pages
    site.shutdown()
    thread.join()
    site.server_close()


def test_a_wrong_key_opens_nothing_and_the_right_one_the_page_that_was_wanted(
    browser: Browser,
    client: httpx.Client,
    kept: Store,
    ask: Ask,
) -> None:
    ask(START)
    page = browser.new_page()
    page.goto(f"{client.base_url}/local/p?x=1")
    page.get_by_label("Key").fill("0" * 40)
    page.get_by_role("button", name="Log in").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("not this server's key")
    red, green, blue = (
        int(part) for part in re.findall(r"\d+", alert.evaluate("node => getComputedStyle(node).color"))[:3]
    )
    assert red > 2 * max(green, blue)
    page.get_by_label("Key").fill(kept.key)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("link", name="victim").first).to_be_visible()
    assert page.url == f"{client.base_url}/local/p?x=1"
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    assert cookie["value"] != kept.key
    assert page.evaluate("document.cookie") == ""
    page.close()


def test_the_cookie_opens_pages_and_nothing_that_clients_talk_to(person: Page, client: httpx.Client, ask: Ask) -> None:
    ask(START)
    post = """async () => {
        const headers = {"Content-Type": "application/json"}
        const answer = await fetch("/graphql", {method: "POST", headers, body: '{"query": "{ viewer { id } }"}'})
        return answer.status
    }"""
    assert person.evaluate(post) == 401


def test_logging_out_is_a_button_on_every_page(person: Page, client: httpx.Client) -> None:
    person.get_by_role("button", name="Log out").click()
    expect(person.get_by_role("heading", name="Log in")).to_be_visible()
    expect(person.get_by_role("button", name="Log out")).to_have_count(0)
    person.goto(f"{client.base_url}")
    expect(person.get_by_role("heading", name="Log in")).to_be_visible()


@pytest.mark.parametrize("to", ["//evil.example", "/\\evil.example", "https://evil.example", "/\n/evil.example"])
def test_the_login_leads_to_no_other_site(client: httpx.Client, kept: Store, to: str) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = client.post("/login", params={"to": to}, content=f"key={kept.key}", headers=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_pages_of_another_site_cannot_act_as_who_is_logged_in(
    person: Page, client: httpx.Client, ask: Ask, elsewhere: tuple[str, dict[str, str]]
) -> None:
    run = ask(START)["upsertBucket"]["bucket"]["id"]
    body = json.dumps({"query": f'mutation {{ deleteRun(input: {{id: "{run}"}}) {{ clientMutationId }} }}', "x": ""})
    origin, pages = elsewhere
    pages["/"] = EVIL.format(url=str(client.base_url).rstrip("/"), body=body, head=body.replace('"}', "").strip())
    person.goto(origin)
    person.evaluate("attack()")
    expect(person).to_have_title("done")
    with person.expect_response("**/graphql") as answer:
        person.evaluate("document.getElementById('form').submit()")
    assert answer.value.status == 403
    assert ask('{ project(name: "p") { runCount } }') == {"project": {"runCount": 1}}


def test_a_link_on_another_site_still_leads_to_the_page(
    person: Page, client: httpx.Client, ask: Ask, elsewhere: tuple[str, dict[str, str]]
) -> None:
    ask(START)
    origin, pages = elsewhere
    pages["/"] = EVIL.format(url=str(client.base_url).rstrip("/"), body="", head="")
    person.goto(origin)
    person.get_by_role("link", name="a link").click()
    expect(person.get_by_role("link", name="victim").first).to_be_visible()
