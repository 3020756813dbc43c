"""Search nested parameters of scikit-learn's gradient boosting for the lowest loss.

Requires `pip install scikit-learn`.
"""

import wandb
from sklearn.datasets import load_wine
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

SWEEP = {
    "name": "Wine, gradient boosting",
    "method": "random",
    "run_cap": 14,
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {
        "model": {"parameters": {"trees": {"values": [5, 10, 20, 40]}, "depth": {"min": 1, "max": 5}}},
        "optimizer": {"parameters": {"rate": {"distribution": "log_uniform_values", "min": 0.01, "max": 0.5}}},
    },
}
wine = load_wine()
train_x, test_x, train_y, test_y = train_test_split(wine.data, wine.target, test_size=0.4, random_state=0)


def train() -> None:
    with wandb.init() as run:
        model, rate = run.config.model, run.config.optimizer["rate"]
        boosting = GradientBoostingClassifier(
            n_estimators=model["trees"], max_depth=model["depth"], learning_rate=rate, random_state=0
        ).fit(train_x, train_y)
        for i, probabilities in enumerate(boosting.staged_predict_proba(test_x)):
            run.log({"loss": log_loss(test_y, probabilities), "train/deviance": boosting.train_score_[i]})
        names = wine.target_names.tolist()
        run.log(
            {
                "roc": wandb.plot.roc_curve(test_y, probabilities, names),
                "pr": wandb.plot.pr_curve(test_y, probabilities, names),
            }
        )


if __name__ == "__main__":
    wandb.agent(wandb.sweep(SWEEP, project="wine"), function=train, project="wine")
