"""Train LightGBM in three groups of runs, with a callback that logs each evaluation.

Requires `pip install lightgbm scikit-learn`.
"""

from typing import Any

import lightgbm
import wandb
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

train_x, test_x, train_y, test_y = train_test_split(*load_diabetes(return_X_y=True), test_size=0.3, random_state=0)


def main(seeds: int = 3) -> None:
    for leaves in (4, 8, 31):
        for seed in range(seeds):
            settings = {
                "num_leaves": leaves,
                "learning_rate": 0.1,
                "seed": seed,
                "bagging_fraction": 0.7,
                "bagging_freq": 1,
            }
            with wandb.init(project="diabetes", group=f"{leaves} leaves", job_type="fit", config=settings) as run:

                def report(state: Any, run: Any = run) -> None:
                    run.log({f"{name}/{metric}": value for name, metric, value, _ in state.evaluation_result_list})

                data = lightgbm.Dataset(train_x, train_y)
                test_data = lightgbm.Dataset(test_x, test_y, reference=data)
                options = settings | {
                    "objective": "regression",
                    "metric": ["l2", "l1"],
                    "verbose": -1,
                    "num_threads": 1,
                }
                model = lightgbm.train(
                    options, data, 40, valid_sets=[data, test_data], valid_names=["train", "test"], callbacks=[report]
                )
                splits = zip(model.feature_name(), model.feature_importance().tolist(), strict=True)
                table = wandb.Table(["feature", "splits"], [list(row) for row in splits])
                run.log({"importance": wandb.plot.bar(table, "feature", "splits", title="Splits by feature")})


if __name__ == "__main__":
    main()
