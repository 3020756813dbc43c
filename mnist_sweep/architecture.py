"""Networks as plain data: layers, parameter counts, output shapes and receptive fields.

A network is a tuple of layers that are applied in order to a 1 x 28 x 28 image and end in 10 logits. `model.build`
makes it a `torch.nn.Module`. The eight ladder networks are those of the study that this project starts from. This
module does not import torch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

Shape: TypeAlias = tuple[int, int, int]
"""Channels, height, width."""

INPUT: Shape = (1, 28, 28)
CLASSES = 10


@dataclass(frozen=True, slots=True)
class Conv:
    """A square convolution with stride 1. It is depthwise if there are as many groups as channels."""

    in_channels: int
    out_channels: int
    kernel: int = 3
    padding: int = 0
    bias: bool = False
    groups: int = 1

    @property
    def parameters(self) -> int:
        return self.out_channels * (self.in_channels // self.groups * self.kernel**2 + self.bias)

    def output(self, shape: Shape) -> Shape:
        channels, height, width = shape
        if channels != self.in_channels:
            raise ValueError(f"{self} was given {channels} channels")
        shrink = self.kernel - 1 - 2 * self.padding
        return self.out_channels, height - shrink, width - shrink


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """Batch normalisation over N, H, W with a trainable scale and shift per channel."""

    channels: int

    @property
    def parameters(self) -> int:
        return 2 * self.channels

    def output(self, shape: Shape) -> Shape:
        return shape


@dataclass(frozen=True, slots=True)
class ReLU:
    parameters = 0

    def output(self, shape: Shape) -> Shape:
        return shape


@dataclass(frozen=True, slots=True)
class Dropout:
    """Element-wise (Bernoulli) dropout with probability `p`."""

    p: float
    parameters = 0

    def output(self, shape: Shape) -> Shape:
        return shape


@dataclass(frozen=True, slots=True)
class Pool:
    """Max or average pooling over `size` x `size`, stride `size`, no padding."""

    kind: Literal["max", "avg"]
    size: int
    parameters = 0

    def output(self, shape: Shape) -> Shape:
        channels, height, width = shape
        return channels, height // self.size, width // self.size


Layer: TypeAlias = Conv | BatchNorm | ReLU | Dropout | Pool
Network: TypeAlias = tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a layer table."""

    layer: Layer
    output: Shape
    parameters: int
    receptive_field: int
    """Side of the square of input pixels that one output depends on."""


def count_parameters(network: Sequence[Layer]) -> int:
    """Return the number of trainable parameters, those of batch norm included."""
    return sum(layer.parameters for layer in network)


def layer_table(network: Sequence[Layer]) -> list[Row]:
    """Return one `Row` per layer. Raise ValueError if channels do not match or an image shrinks below 1 x 1."""
    rows, shape, field, jump = [], INPUT, 1, 1
    for layer in network:
        shape = layer.output(shape)
        if min(shape) < 1:
            raise ValueError(f"{layer} leaves no pixel: output {shape}")
        if isinstance(layer, Conv):
            field += (layer.kernel - 1) * jump
        elif isinstance(layer, Pool):
            field += (layer.size - 1) * jump
            jump *= layer.size
        rows.append(Row(layer, shape, layer.parameters, field))
    return rows


def largest_layers(network: Sequence[Layer], count: int = 3) -> str:
    """Return the `count` layers that hold most parameters as text: `conv3x3 16->18 (2,592), …`."""
    ranked = sorted(network, key=lambda layer: layer.parameters, reverse=True)[:count]
    return ", ".join(f"{describe(layer)} ({layer.parameters:,})" for layer in ranked)


def describe(layer: Layer) -> str:
    """Return a short name of a layer, for tables and messages."""
    match layer:
        case Conv():
            kind = "conv" if layer.groups == 1 else "depthwise"
            return f"{kind}{layer.kernel}x{layer.kernel} {layer.in_channels}->{layer.out_channels}"
        case BatchNorm():
            return f"batchnorm {layer.channels}"
        case ReLU():
            return "relu"
        case Dropout():
            return f"dropout {layer.p:g}"
        case Pool():
            return f"{layer.kind}pool {layer.size}"


# --- the ladder -------------------------------------------------------------------------------------------------------

Order: TypeAlias = Literal["relu", "bn-relu", "relu-bn"]


def _block(conv: Conv, order: Order, dropout: float) -> Iterator[Layer]:
    """Yield a convolution and what follows it. Dropout 0 adds no layer."""
    norm = BatchNorm(conv.out_channels)
    yield conv
    yield from {"relu": (ReLU(),), "bn-relu": (norm, ReLU()), "relu-bn": (ReLU(), norm)}[order]
    if dropout > 0:
        yield Dropout(dropout)


def _chain(
    channels: Sequence[int], order: Order, dropout: float, *, padding: int = 0, bias: bool = False
) -> Iterator[Layer]:
    """Yield 3x3 blocks along `channels`."""
    for before, after in pairwise(channels):
        yield from _block(Conv(before, after, 3, padding, bias), order, dropout)


def _step1(dropout: float) -> Iterator[Layer]:
    yield from _chain((1, 32, 64), "relu", dropout, padding=1, bias=True)
    yield Pool("max", 2)
    yield from _chain((64, 128, 256), "relu", dropout, padding=1, bias=True)
    yield Pool("max", 2)
    yield from _chain((256, 512, 1024), "relu", dropout, bias=True)
    yield Conv(1024, CLASSES, 3, bias=True)


def _step2(dropout: float, order: Order = "relu") -> Iterator[Layer]:
    yield from _chain((1, 8, 16), order, dropout)
    yield Pool("max", 2)
    if order == "relu":
        yield Conv(16, 8, 1)
    else:
        yield from _block(Conv(16, 8, 1), order, dropout)
    yield from _chain((8, 10, 10, 16), order, dropout)
    yield from _block(Conv(16, 10, 1), order, dropout)
    yield Conv(10, CLASSES, 6)


def _step4(dropout: float) -> Iterator[Layer]:
    yield from _chain((1, 8, 16), "bn-relu", dropout)
    yield Pool("max", 2)
    yield from _block(Conv(16, 8, 1), "bn-relu", dropout)
    yield from _chain((8, 10, 10, 16), "bn-relu", dropout)
    yield Conv(16, CLASSES, 1)
    yield Pool("avg", 6)


def _step6(dropout: float) -> Iterator[Layer]:
    yield from _chain((1, 8, 16), "bn-relu", dropout)
    yield Pool("max", 2)
    yield from _block(Conv(16, 8, 1), "bn-relu", dropout)
    yield from _chain((8, 10, 16, 16), "bn-relu", dropout)
    yield Pool("avg", 6)
    yield Conv(16, CLASSES, 1)


def tiny(
    *,
    c1: int,
    c2: int,
    squeeze: int,
    c3: int,
    c4: int,
    c5: int,
    c6: int = 0,
    head: int,
    pools: int,
    separable: bool = False,
    dropout: float,
) -> Network:
    """Return the searchable network. With the widths 8, 16, 8, 10, 16, 18, 16 and one pooling, it is step 8.

    The order is: two 3x3 blocks (24 x 24), max-pool (12), a 1x1 convolution `squeeze`, three 3x3 blocks (6 x 6),
    average pooling (1), a 1x1 block of `head` channels, ten logits. A block is a convolution, ReLU, batch norm and
    dropout. With two `pools`, a second max-pool (4) precedes the fifth 3x3 block, which is padded. `c6` is a sixth 3x3
    block, which is padded as well. A width of 0 leaves `squeeze`, `c6` or `head` out. In a `separable` network, each
    3x3 convolution after the first is one filter per channel and a 1x1 convolution (Chollet 2017, arXiv:1610.02357).
    """

    def block(before: int, after: int, padding: int = 0) -> Iterator[Layer]:
        if separable:
            yield Conv(before, before, 3, padding, groups=before)
            yield from _block(Conv(before, after, 1), "relu-bn", dropout)
        else:
            yield from _block(Conv(before, after, 3, padding), "relu-bn", dropout)

    def layers() -> Iterator[Layer]:
        yield from _block(Conv(1, c1), "relu-bn", dropout)
        yield from block(c1, c2)
        yield Pool("max", 2)
        if squeeze:
            yield Conv(c2, squeeze, 1)
        yield from block(squeeze or c2, c3)
        yield from block(c3, c4)
        if pools == 2:
            yield Pool("max", 2)
        yield from block(c4, c5, pools - 1)
        if c6:
            yield from block(c5, c6, 1)
        yield Pool("avg", 6 if pools == 1 else 4)
        if head:
            yield from _block(Conv(c6 or c5, head, 1), "relu-bn", dropout)
        yield Conv(head or c6 or c5, CLASSES, 1)

    return tuple(layers())


def ladder(step: int, dropout: float) -> Network:
    """Return the network of step 1 … 8 of the study, with `dropout` after every activation (0 is none)."""
    match step:
        case 1:
            return tuple(_step1(dropout))
        case 2:
            return tuple(_step2(dropout))
        case 3:
            return tuple(_step2(dropout, "bn-relu"))
        case 4 | 5:
            return tuple(_step4(dropout))
        case 6 | 7:
            return tuple(_step6(dropout))
        case 8:
            return tiny(c1=8, c2=16, squeeze=8, c3=10, c4=16, c5=18, head=16, pools=1, dropout=dropout)
    raise ValueError(f"no ladder step {step}: choose 1 to 8")
