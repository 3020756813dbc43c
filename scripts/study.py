"""Train step 8 with the study's own pipeline, the baseline of `benchmark.py` for speed and accuracy.

    python -m scripts.study --seeds 10 --file study.jsonl      # two hours on two cores; resumes

The pipeline uses `torchvision.datasets.MNIST` with per-image PIL transforms in a `DataLoader`, PyTorch's layers, and
eager float32 on the CPU. The program trains step 8 on all 60,000 images and evaluates it on the test images after the
last epoch. It prints the statistics over the seeds, as `mnist-sweep confirm --preset=step8` does for this project's own
pipeline.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import TypeAdapter
from torchvision import datasets, transforms

from mnist_sweep import config
from mnist_sweep.review.provenance_text import confirmation_sentence
from mnist_sweep.selection.confirm import summarise
from mnist_sweep.selection.confirm_record import SeedResult
from mnist_sweep.training import mnist, model

BATCH = 128
EPOCHS = 15

PLAIN = [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
POLICY_A = [
    transforms.RandomRotation((-6.0, 6.0), fill=1),
    transforms.RandomAffine(degrees=7, shear=10, translate=(0.1, 0.1), scale=(0.8, 1.2)),
    transforms.ColorJitter(brightness=0.4, contrast=0.4),
    *PLAIN,
]


def loader(policy: list[Any], *, train: bool, workers: int = 0) -> torch.utils.data.DataLoader[Any]:
    """Return batches of the training or the test images, as torchvision reads them."""
    root = Path(tempfile.mkdtemp())
    (root / "MNIST").mkdir()
    (root / "MNIST" / "raw").symlink_to(mnist.fetch())  # torchvision's name for the folder
    images = datasets.MNIST(str(root), train=train, transform=transforms.Compose(policy))
    return torch.utils.data.DataLoader(images, BATCH, shuffle=train, num_workers=workers)


def network() -> torch.nn.Sequential:
    """Return the network of step 8, built from PyTorch's layers."""
    return model.build(config.parse({"preset": "step8"}).network)


def stepper(network: torch.nn.Module, steps: int) -> Callable[[torch.Tensor, torch.Tensor], None]:
    """Return a function that makes one training step. The OneCycle schedule has `steps` steps in total."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.015, momentum=0.7)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.015, total_steps=steps)

    def step(images: torch.Tensor, labels: torch.Tensor) -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()
        scheduler.step()

    return step


@torch.no_grad()
def accuracy(network: torch.nn.Module, batches: torch.utils.data.DataLoader[Any]) -> float:
    """Return the fraction of images that are classified correctly."""
    network.eval()
    right = sum(int((network(images).argmax(1) == labels).sum()) for images, labels in batches)
    network.train()
    return right / len(batches.dataset)  # type: ignore[arg-type]


def train(seed: int, threads: int) -> SeedResult:
    """Train step 8 from scratch and return its test result."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    started = time.perf_counter()
    batches, test, net = loader(POLICY_A, train=True), loader(PLAIN, train=False), network()
    step = stepper(net, EPOCHS * len(batches))
    for _ in range(EPOCHS):
        for images, labels in batches:
            step(images, labels)
    found, seconds = accuracy(net, test), time.perf_counter() - started
    return SeedResult(seed=seed, accuracy=found, seconds=seconds, precision="float32")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds (default %(default)s)")
    parser.add_argument("--agents", type=int, default=2, help="parallel trainings, one thread each")
    parser.add_argument("--file", type=Path, default=Path("study.jsonl"), help="one line per finished seed")
    arguments = parser.parse_args()
    lines = arguments.file.read_text().splitlines() if arguments.file.exists() else []
    results = [TypeAdapter(SeedResult).validate_json(line) for line in lines]
    todo = sorted(set(range(arguments.seeds)) - {result.seed for result in results})
    with ProcessPoolExecutor(arguments.agents, mp_context=multiprocessing.get_context("spawn")) as pool:
        for future in as_completed([pool.submit(train, seed, 1) for seed in todo]):
            results.append(future.result())
            with arguments.file.open("a") as out:
                out.write(json.dumps(asdict(results[-1])) + "\n")
            print(f"seed {results[-1].seed}: {results[-1].accuracy:.2%}", flush=True)
    print(confirmation_sentence(summarise(results, "preset=step8")))


if __name__ == "__main__":
    main()
