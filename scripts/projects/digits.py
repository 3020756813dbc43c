"""Train a PyTorch model and log images, a table, a histogram and charts: `python digits.py FOLDER-OF-MNIST`."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import wandb
from torch.nn import functional

COUNT, EPOCHS = 2000, 3


def load(folder: Path, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    pixels = np.fromfile(folder / f"{part}-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 28, 28)[:COUNT]
    labels = np.fromfile(folder / f"{part}-labels-idx1-ubyte", np.uint8)[8:][:COUNT]
    return torch.from_numpy(pixels.astype(np.float32) / 255), torch.from_numpy(labels.astype(np.int64))


def main(folder: Path) -> None:
    torch.manual_seed(0)
    train_x, train_y = load(folder, "train")
    test_x, test_y = load(folder, "t10k")
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    with wandb.init(project="digits", id="linear", name="linear", config={"lr": 0.003, "batch": 100}) as run:
        run.define_metric("val/*", step_metric="epoch")
        run.define_metric("worst", step_metric="epoch")
        for epoch in range(EPOCHS):
            for batch in torch.randperm(COUNT).split(100):
                loss = functional.cross_entropy(model(train_x[batch]), train_y[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.log({"train/loss": loss.item()})
            with torch.no_grad():
                probabilities = functional.softmax(model(test_x), 1)
            confidence, predicted = probabilities.max(1)
            wrong = torch.nonzero(predicted != test_y).flatten()
            worst = wrong[confidence[wrong].argsort(descending=True)][:8].tolist()
            pictures = {i: (255 * test_x[i]).numpy().astype(np.uint8) for i in worst}
            run.log(
                {
                    "epoch": epoch,
                    "val/accuracy": (predicted == test_y).float().mean().item(),
                    "worst": [
                        wandb.Image(
                            pictures[i],
                            caption=f"{test_y[i]} as {predicted[i]}",
                            **found(pictures[i], int(predicted[i])),
                        )
                        for i in worst
                    ],
                    "weights": wandb.Histogram(model[1].weight.detach().numpy()),
                    "mistakes": wandb.Table(
                        ["image", "label", "said", "sure"],
                        [
                            [
                                wandb.Image(pictures[i], **found(pictures[i], int(predicted[i]))),
                                int(test_y[i]),
                                int(predicted[i]),
                                confidence[i].item(),
                            ]
                            for i in worst
                        ],
                    ),
                }
            )
        curve = wandb.Table(["share", "accuracy"], accuracy_by_share(confidence, predicted == test_y))
        run.log({"confidence": wandb.plot.line(curve, "share", "accuracy", title="Accuracy of the surest")})
        names = [str(digit) for digit in range(10)]
        labels, guesses = test_y.tolist(), predicted.tolist()
        run.log({"confusion": wandb.plot.confusion_matrix(y_true=labels, preds=guesses, class_names=names)})
        counts = wandb.Table(["digit", "count"], [[str(d), labels.count(d)] for d in range(10)])
        run.log({"digits": wandb.plot.bar(counts, "digit", "count", title="Digits")})
        run.log({"own": wandb.plot_table("somebody/own-chart/v2", curve, {"x": "share"})})


def found(picture: np.ndarray, predicted: int) -> dict[str, Any]:
    """Return a box around the digit, labelled with the prediction, and a mask of its pixels."""
    ink = picture > 127
    rows, columns = (np.flatnonzero(ink.any(axis)).tolist() for axis in (1, 0))
    corners = {"minX": columns[0], "maxX": columns[-1] + 1, "minY": rows[0], "maxY": rows[-1] + 1}
    box = {"position": corners, "domain": "pixel", "class_id": predicted, "box_caption": f"a {predicted}"}
    labels = {digit: str(digit) for digit in range(10)}
    return {
        "boxes": {"said": {"box_data": [box], "class_labels": labels}},
        "masks": {"ink": {"mask_data": ink.astype(np.uint8), "class_labels": {1: "ink"}}},
    }


def accuracy_by_share(confidence: torch.Tensor, right: torch.Tensor) -> list[list[float]]:
    """Return the accuracy on the most confident 5 %, 10 %, …, 100 % of the images."""
    ordered = right[confidence.argsort(descending=True)].float()
    return [[i / 20, ordered[: i * len(ordered) // 20].mean().item()] for i in range(1, 21)]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
