"""The page on which a sweep is written, checked and created: a real browser, and the real client as its agent."""

import re
import urllib.error
import urllib.request

import pytest
from playwright.sync_api import expect

from tests.browser import Opener
from tests.local_server import Served

TEXT = """\
# a comment of its author
program: anything.py
method: random
metric: {name: loss, goal: minimize}
parameters:
  width: {min: 1, max: 10}
run_cap: 2
"""
EARLIER = """
import wandb
for width, over in ((2, -1), (4, -2), (6, 1), (50, 1)):
    with wandb.init(project="written", config={"width": width}) as run:
        run.summary.update({"loss": 1.0, "constraint/size": over})
"""
AGENT = """
import wandb
from wandb.agents import pyagent
pyagent.Agent.HEARTBEAT_SLEEP_SECONDS = 0.2
def train():
    with wandb.init() as run:
        run.log({{"loss": run.config.width}})
wandb.agent({sweep!r}, function=train)
"""


def test_a_sweep_is_checked_created_and_run(served: Served, open_page: Opener) -> None:
    served.python(EARLIER)
    page = open_page(f"{served.url}/local/written")
    page.get_by_role("link", name="New sweep").click()
    editor, answer, button = (
        page.get_by_label("Configuration"),
        page.get_by_role("status"),
        page.get_by_role("button", name="Create"),
    )
    expect(answer).to_contain_text("The bayes search covers 2 parameters")  # of the example
    editor.fill("method: random\nparameters: {a: {min: 5, max: 1}}")
    expect(answer.locator(".warn")).to_contain_text("a")
    expect(button).to_be_disabled()

    editor.fill(TEXT)
    expect(answer).to_contain_text("The random search covers 1 parameter: width. It ends after 2 runs.")
    expect(answer).to_contain_text(
        "Feasible share: 67%, by 2 of 3 earlier runs in this space that reported a constraint."
    )
    expect(button).to_be_enabled()
    button.click()
    expect(page.locator(".tile", has_text="state")).to_contain_text("pending")
    page.get_by_text("The sweep's YAML").click()
    expect(page.locator("#configuration details pre")).to_have_text(TEXT)

    command = page.locator("[data-copy]").inner_text()
    found = re.search(r"wandb agent (local/written/\w+)", command)
    assert found
    served.python(AGENT.format(sweep=found[1]))
    expect(page.locator("[data-table] tbody tr")).to_have_count(2)
    expect(page.locator(".tile", has_text="state")).to_contain_text("finished")
    page.get_by_role("link", name="New sweep from this one").click()
    expect(page.get_by_label("Configuration")).to_have_value(TEXT)


def test_only_a_form_of_this_server_creates_a_sweep(served: Served) -> None:
    address = f"{served.url}/local/written/new-sweep"
    request = urllib.request.Request(address, b"config=method%3A+random&token=guess", served.headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 403
