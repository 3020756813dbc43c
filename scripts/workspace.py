"""The pictures of docs/workspace.md: a sweep that is not this project's, run here, on a local server of its own.

    pip install scikit-learn
    python -m scripts.workspace --out docs/images

Needs Chromium.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from mnist_sweep.server.launch import ServerProcess
from scripts import chromium

PROGRAM = """
import wandb
from sklearn.datasets import load_wine
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

train_x, test_x, train_y, test_y = train_test_split(*load_wine(return_X_y=True), test_size=0.4, random_state=0)


def train():
    with wandb.init() as run:
        model, rate = run.config.model, run.config.optimizer["rate"]
        boosting = GradientBoostingClassifier(
            n_estimators=model["trees"], max_depth=model["depth"], learning_rate=rate, random_state=0
        ).fit(train_x, train_y)
        for i, chances in enumerate(boosting.staged_predict_proba(test_x)):
            run.log({"loss": log_loss(test_y, chances), "train/deviance": boosting.train_score_[i]})


trees, depth = {"values": [5, 10, 20, 40]}, {"min": 1, "max": 5}
rate = {"distribution": "log_uniform_values", "min": 0.01, "max": 0.5}
sweep = wandb.sweep({
    "name": "Wine, gradient boosting", "method": "random", "run_cap": 14,
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {
        "model": {"parameters": {"trees": trees, "depth": depth}}, "optimizer": {"parameters": {"rate": rate}},
    },
}, project="wine")
wandb.agent(sweep, function=train, project="wine")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder of the pictures")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder) / "data", env=dict(os.environ))
        facts = server.start()
        try:
            client = {"WANDB_BASE_URL": facts.url, "WANDB_API_KEY": facts.key, "WANDB_DIR": folder}
            subprocess.run([sys.executable, "-c", PROGRAM], env=os.environ | client, check=True)
            pictures(facts.url, facts.key, out)
        finally:
            server.stop()


def pictures(url: str, key: str, out: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
        for name, query, theme in (
            ("workspace", "", "light"),
            ("workspace-grouped", "?by=config:model.trees&log=y", "dark"),
        ):
            dark = theme == "dark"
            page = browser.new_page(viewport={"width": 1280, "height": 1250}, color_scheme="dark" if dark else "light")
            page.request.post(f"{url}/login", form={"key": key})
            page.goto(f"{url}/local/wine{query}")
            for chart in page.locator(".chart").all():
                chart.locator(".main-svg").first.wait_for()
            page.screenshot(path=out / f"{name}.png")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
