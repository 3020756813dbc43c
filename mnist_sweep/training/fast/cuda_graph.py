"""CUDA graphs for a training step, and how a recording earns trust.

A recording runs without Python, so what is wrong with one would go unnoticed: training would go on, only worse. Its
first replays are therefore compared with the same steps launched one by one; where they differ, or where nothing can be
recorded, the steps are launched one by one from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mnist_sweep.errors import first_line

WARM_UP = 3
"""Calls before a recording, in which libraries choose their kernels and allocate what they keep."""

TOLERANCE = 0.1
"""How far replays may be off, as a share of what the steps change: far more than rounding, and far less than what is
wrong. Other images, or random numbers that repeat, put some tensor of the state off by half of what they change.
"""

Step = Callable[[Tensor], None]
Recorder = Callable[[Step, Tensor, torch.Generator], Callable[[], None]]
"""`record`, or what stands in for it."""


def record(step: Step, given: Tensor, generator: torch.Generator) -> Callable[[], None]:
    """Record `step(given)` on the current GPU as a CUDA graph, after a few calls; it must not wait for the GPU.

    Returns what launches the same again, on what `given` holds by then. `generator` is what the step draws from beside
    the device's own. Raises RuntimeError where it cannot be recorded.
    """
    graph = torch.cuda.CUDAGraph()
    main, side = torch.cuda.current_stream(), torch.cuda.Stream()
    side.wait_stream(main)
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            step(given)
    main.wait_stream(side)
    graph.register_generator_state(generator)
    with torch.cuda.graph(graph):
        step(given)
    return graph.replay


RECORDERS: dict[str, Recorder] = {"cuda": record}
"""By type of device: where steps can be recorded."""


@dataclass(frozen=True)
class State:
    """All that a step changes."""

    tensors: Sequence[Tensor]
    generator: torch.Generator
    default: torch.Generator
    """The device's own, which dropout draws from."""

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Undo afterwards what changes inside, whatever happens there."""
        before = [tensor.clone() for tensor in self.tensors]
        random = self.generator.get_state(), self.default.get_state()
        try:
            yield
        finally:
            for tensor, value in zip(self.tensors, before, strict=True):
                tensor.copy_(value)
            self.generator.set_state(random[0])
            self.default.set_state(random[1])


@dataclass
class Recorded:
    """`step`, recorded at its first call for each length of its argument; called as it is where that is not right."""

    step: Step
    state: State
    recorder: Recorder
    say: Callable[[str], None]
    """Receives one line where the steps are launched one by one after all."""
    replays: dict[int, Step] = field(default_factory=dict)
    verified: bool = True

    def __call__(self, index: Tensor) -> None:
        if self.verified and len(index) not in self.replays:
            self._prepare(index)
        (self.replays[len(index)] if self.verified else self.step)(index)

    def _prepare(self, index: Tensor) -> None:
        try:
            replay = self._record(index)
            wrong = None if self._matches(replay, index) else "its replays come to other weights or losses"
        except RuntimeError as error:  # what is wrong with the device itself, the plain step meets again
            wrong = first_line(error)
        if wrong is None:
            self.replays[len(index)] = replay
        else:
            self.verified = False
            self.replays.clear()
            self.say(f"recorded steps are not used ({wrong}): training goes on with plain ones, slower but right")

    def _record(self, index: Tensor) -> Step:
        given = index.clone()
        with self.state.kept():
            launch = self.recorder(self.step, given, self.state.generator)

        def replay(index: Tensor) -> None:
            given.copy_(index)
            launch()

        return replay

    def _matches(self, replay: Step, index: Tensor) -> bool:
        """Whether three replays in a row, on different images, come to what `step` does."""
        indexes = index, index // 2, index // 3
        before = [tensor.double() for tensor in self.state.tensors]
        replayed, stepped = (self._after(run, indexes) for run in (replay, self.step))
        return all(
            _close(mine, its, start, torch.finfo(tensor.dtype).eps if tensor.is_floating_point() else 0)
            for mine, its, start, tensor in zip(replayed, stepped, before, self.state.tensors, strict=True)
        )

    def _after(self, run: Step, indexes: Sequence[Tensor]) -> list[Tensor]:
        with self.state.kept():
            for index in indexes:
                run(index)
            return [tensor.double() for tensor in self.state.tensors]


def _close(mine: Tensor, its: Tensor, start: Tensor, eps: float) -> bool:
    """Whether `mine` is `its` up to rounding, measured by the way from `start`."""
    off, way = (mine - its).norm(), (its - start).norm()
    return bool(off <= TOLERANCE * way + 4 * eps * its.norm())
