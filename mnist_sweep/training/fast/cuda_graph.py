"""CUDA graphs for a training step, verified before use.

A recording runs without Python, so an error in one would go unnoticed: training would continue with worse results. The
first replays are therefore compared with the same steps launched one by one. If they differ, or if nothing can be
recorded, all further steps are launched one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mnist_sweep.errors import first_line

WARM_UP = 3
"""Calls before a recording, in which libraries choose kernels and allocate workspaces."""

TOLERANCE = 0.1
"""Largest allowed difference of replays, as a fraction of the change that the steps make.

It is far above rounding and far below an error: other images, or repeated random numbers, change some tensor of the
state by half of the steps' own change.
"""

Step = Callable[[Tensor], None]
Recorder = Callable[[Step, Tensor, torch.Generator], Callable[[], None]]
"""`record`, or its substitute in tests."""


def record(step: Step, given: Tensor, generator: torch.Generator) -> Callable[[], None]:
    """Record `step(given)` on the current GPU as a CUDA graph, after WARM_UP calls.

    Args:
        step: must not wait for the GPU.
        given: the step's argument. A replay reads its present contents.
        generator: the generator that the step uses beside the device's default one.

    Returns:
        A function that replays the step.

    Raises:
        RuntimeError: the step cannot be recorded.
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
"""The recorder of each device type that has one."""


@dataclass(frozen=True)
class State:
    """Everything that a step changes."""

    tensors: Sequence[Tensor]
    generator: torch.Generator
    default: torch.Generator
    """The device's default generator, which dropout uses."""

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Restore the state on exit, also after an exception."""
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
    """Record `step` at its first call for each length of its argument. Call it unrecorded if that fails."""

    step: Step
    state: State
    recorder: Recorder
    say: Callable[[str], None]
    """Receives one line if the steps are launched one by one after all."""
    replays: dict[int, Step] = field(default_factory=dict)
    verified: bool = True

    def __call__(self, index: Tensor) -> None:
        if self.verified and len(index) not in self.replays:
            self._prepare(index)
        (self.replays[len(index)] if self.verified else self.step)(index)

    def _prepare(self, index: Tensor) -> None:
        try:
            replay = self._record(index)
            wrong = None if self._matches(replay, index) else "replays give other weights or losses"
        except RuntimeError as error:  # a failure of the device itself will appear again in the plain step
            wrong = first_line(error)
        if wrong is None:
            self.replays[len(index)] = replay
        else:
            self.verified = False
            self.replays.clear()
            self.say(f"CUDA graphs are not used ({wrong}): training continues with plain steps, slower but correct")

    def _record(self, index: Tensor) -> Step:
        given = index.clone()
        with self.state.kept():
            launch = self.recorder(self.step, given, self.state.generator)

        def replay(index: Tensor) -> None:
            given.copy_(index)
            launch()

        return replay

    def _matches(self, replay: Step, index: Tensor) -> bool:
        """Return whether three replays on different images change the state as `step` does."""
        indexes = index, index // 2, index // 3
        before = [tensor.double() for tensor in self.state.tensors]
        replayed, stepped = (self._after(run, indexes) for run in (replay, self.step))
        return all(
            _close(actual, expected, start, torch.finfo(tensor.dtype).eps if tensor.is_floating_point() else 0)
            for actual, expected, start, tensor in zip(replayed, stepped, before, self.state.tensors, strict=True)
        )

    def _after(self, run: Step, indexes: Sequence[Tensor]) -> list[Tensor]:
        with self.state.kept():
            for index in indexes:
                run(index)
            return [tensor.double() for tensor in self.state.tensors]


def _close(actual: Tensor, expected: Tensor, start: Tensor, eps: float) -> bool:
    """Return whether `actual` is close to `expected`, relative to the change of `expected` from `start`."""
    error, distance = (actual - expected).norm(), (expected - start).norm()
    return bool(error <= TOLERANCE * distance + 4 * eps * expected.norm())
