"""CUDA graphs for a training step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch

WARM_UP = 3
"""Calls before a recording, in which libraries choose their kernels and allocate what they keep."""


@dataclass(frozen=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    index: torch.Tensor
    """What the graph reads."""


@dataclass
class Recorded:
    """`function`, recorded at its first call for each length of `index`, and replayed from then on.

    The recording needs a CUDA device, and a function that does not wait for it and returns nothing.
    """

    function: Callable[[torch.Tensor], None]
    restoring: Callable[[], AbstractContextManager[torch.Generator]]
    """Undoes what the warm-up changes; gives the generator that `function` uses beside the device's own."""
    recordings: dict[int, _Recording] = field(default_factory=dict)

    def __call__(self, index: torch.Tensor) -> None:
        recording = self.recordings.get(len(index)) or self._record(index)
        recording.index.copy_(index)
        recording.graph.replay()

    def _record(self, index: torch.Tensor) -> _Recording:
        index = index.clone()
        graph = torch.cuda.CUDAGraph()
        with self.restoring() as generator:
            main, side = torch.cuda.current_stream(), torch.cuda.Stream()
            side.wait_stream(main)
            with torch.cuda.stream(side):
                for _ in range(WARM_UP):
                    self.function(index)
            main.wait_stream(side)
            graph.register_generator_state(generator)
            with torch.cuda.graph(graph):
                self.function(index)
        self.recordings[len(index)] = recording = _Recording(graph, index)
        return recording
