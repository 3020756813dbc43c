"""Vectors of sixteen float32 for code that Numba compiles: one element for each image of a block.

Numba's loops are vectorised only if LLVM can prove that it may, and sums are never kept in registers. These types and
functions say both explicitly. LLVM turns a vector into one, two or four registers of the processor. Every operation
rounds the same on all of them, except that a product and a sum are one operation where the processor has it.

An array is a flat, contiguous float32 array. A vector's position in it is the index of its first element. A comparison
returns a vector whose elements have all bits set where it holds, and none elsewhere.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 16
"""Elements of a vector."""

_FLOAT, _INT32, _INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_FLOATS, _INTS = ir.VectorType(_FLOAT, LANES), ir.VectorType(_INT32, LANES)
_SIGN = 0x80000000


class _Vector(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


VECTOR = _Vector()


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLOATS)


# --- instructions -----------------------------------------------------------------------------------------------------


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def _load(builder: Any, pointer: Any) -> Any:
    value = builder.load(builder.bitcast(pointer, _FLOATS.as_pointer()))
    value.align = 4
    return value


def _store(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, builder.bitcast(pointer, _FLOATS.as_pointer())).align = 4


def _full(builder: Any, scalar: Any) -> Any:
    undefined = ir.Constant(_FLOATS, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(_INTS, [0] * LANES))


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    kind = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f32"), [a, b, c])


def _bits(builder: Any, value: Any) -> Any:
    return builder.bitcast(value, _INTS)


def _constant(value: int) -> Any:
    return ir.Constant(_INTS, [value] * LANES)


def _mask(builder: Any, condition: Any) -> Any:
    return builder.bitcast(builder.sext(condition, _INTS), _FLOATS)


def _rotate(builder: Any, value: Any, count: int) -> Any:
    return builder.or_(builder.shl(value, _constant(count)), builder.lshr(value, _constant(32 - count)))


# --- functions for compiled code --------------------------------------------------------------------------------------


@intrinsic
def load(typing: Any, array: Any, at: Any) -> Any:
    """Return the vector at position `at`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _load(builder, _pointer(context, builder, signature.args[0], *arguments))

    return VECTOR(array, types.int64), generate


@intrinsic
def store(typing: Any, array: Any, at: Any, value: Any) -> Any:
    """Write a vector to position `at`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *place, value = arguments
        _store(builder, value, _pointer(context, builder, signature.args[0], *place))
        return context.get_dummy_value()

    return types.void(array, types.int64, VECTOR), generate


@intrinsic
def full(typing: Any, scalar: Any) -> Any:
    """Return a vector of equal elements."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _full(builder, arguments[0])

    return VECTOR(types.float32), generate


@intrinsic
def multiply_add(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _multiply_add(builder, *arguments)

    return VECTOR(VECTOR, VECTOR, VECTOR), generate


@intrinsic
def where(typing: Any, mask: Any, a: Any, b: Any) -> Any:
    """Return `a` where the sign bit of `mask` is set, else `b`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        mask, a, b = arguments
        return builder.select(builder.icmp_signed("<", _bits(builder, mask), _constant(0)), a, b)

    return VECTOR(VECTOR, VECTOR, VECTOR), generate


@intrinsic
def with_sign(typing: Any, value: Any, mask: Any) -> Any:
    """Return `value` with its sign bit also set where that of `mask` is."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, mask = (_bits(builder, argument) for argument in arguments)
        return builder.bitcast(builder.or_(value, builder.and_(mask, _constant(_SIGN))), _FLOATS)

    return VECTOR(VECTOR, VECTOR), generate


@intrinsic
def magnitude(typing: Any, value: Any) -> Any:
    """Return `value` with its sign bits cleared."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(builder.and_(_bits(builder, arguments[0]), _constant(_SIGN - 1)), _FLOATS)

    return VECTOR(VECTOR), generate


@intrinsic
def random(typing: Any, a: Any, b: Any) -> Any:
    """Advance sixteen xoroshiro64* generators. Return 32 random bits of each, and their new states.

    Blackman & Vigna 2021, Scrambled linear pseudorandom number generators. Vectors hold the bits of integers.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b = (_bits(builder, state) for state in arguments)
        number = builder.mul(a, _constant(0x9E3779BB))
        b = builder.xor(a, b)
        new = builder.xor(builder.xor(_rotate(builder, a, 26), b), builder.shl(b, _constant(9)))
        parts = (builder.bitcast(value, _FLOATS) for value in (number, new, _rotate(builder, b, 13)))
        return context.make_tuple(builder, signature.return_type, tuple(parts))

    return types.UniTuple(VECTOR, 3)(VECTOR, VECTOR), generate


@intrinsic
def bits_below(typing: Any, value: Any, limit: Any) -> Any:
    """Return where the bits of `value`, an unsigned integer, are less than `limit` (uint32)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, limit = arguments
        limits = _bits(builder, _full(builder, builder.bitcast(limit, _FLOAT)))
        return _mask(builder, builder.icmp_unsigned("<", _bits(builder, value), limits))

    return VECTOR(VECTOR, types.uint32), generate


def _operator(function: Any, operation: Callable[..., Any]) -> None:
    """Let compiled code use an operator between two vectors. `operation` receives an LLVM builder and the operands."""

    @infer_global(function)
    class Template(ConcreteTemplate):
        cases = [signature(VECTOR, VECTOR, VECTOR)]  # noqa: RUF012

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return operation(builder, *arguments)

    lower_builtin(function, VECTOR, VECTOR)(generate)


_operator(operator.add, lambda builder, a, b: builder.fadd(a, b))
_operator(operator.sub, lambda builder, a, b: builder.fsub(a, b))
_operator(operator.mul, lambda builder, a, b: builder.fmul(a, b))
_operator(operator.lt, lambda builder, a, b: _mask(builder, builder.fcmp_ordered("<", a, b)))
_operator(operator.ge, lambda builder, a, b: _mask(builder, builder.fcmp_unordered(">=", a, b)))
_operator(
    operator.or_, lambda builder, a, b: builder.bitcast(builder.or_(_bits(builder, a), _bits(builder, b)), _FLOATS)
)


# --- sums of products, held in registers ------------------------------------------------------------------------------


def products(outputs: int, positions: int) -> Any:
    """Return a function of compiled code that multiplies a matrix of scalars by one of vectors.

    Its arguments are: out, out_at, out_step; x, x_at, offsets; weights, weights_at, count. For o < outputs and
    j < positions, it writes to position out_at + o * out_step + 16 j of `out` the sum over k < count of
    weights[weights_at + k * outputs + o] times the vector at position x_at + offsets[k] + 16 j of `x`.
    """

    @intrinsic
    def function(
        typing: Any, out: Any, out_at: Any, out_step: Any, x: Any, x_at: Any, offsets: Any, w: Any, w_at: Any, n: Any
    ) -> Any:
        integer = types.int64

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            out, out_at, out_step, x, x_at, offsets, w, w_at, count = arguments
            kinds = signature.args
            targets = _pointer(context, builder, kinds[0], out, out_at)
            source = _pointer(context, builder, kinds[3], x, x_at)
            weight = _pointer(context, builder, kinds[6], w, w_at)
            offset = _pointer(context, builder, kinds[5], offsets, _INT64(0))
            sums = [ir.Constant(_FLOATS, [0.0] * LANES)] * (outputs * positions)
            with _Loop(builder, count, sums) as loop:
                start = builder.gep(source, [builder.load(builder.gep(offset, [loop.index]))])
                column = builder.gep(weight, [builder.mul(loop.index, _INT64(outputs))])
                scalars = [_full(builder, builder.load(builder.gep(column, [_INT64(o)]))) for o in range(outputs)]
                for j in range(positions):
                    vector = _load(builder, builder.gep(start, [_INT64(j * LANES)]))
                    for o in range(outputs):
                        i = o * positions + j
                        loop.values[i] = _multiply_add(builder, vector, scalars[o], loop.values[i])
            for o in range(outputs):
                row = builder.gep(targets, [builder.mul(out_step, _INT64(o))])
                for j in range(positions):
                    _store(builder, loop.values[o * positions + j], builder.gep(row, [_INT64(j * LANES)]))
            return context.get_dummy_value()

        arguments = out, integer, integer, x, integer, offsets, w, integer, integer
        return types.void(*arguments), generate

    return function


def correlations(outputs: int, taps: int) -> Any:
    """Return a function of compiled code that adds up products of vectors at neighbouring positions.

    Its arguments are: sums, sums_at, sums_step; y, y_at, y_step, y_row; x, x_at, x_row, offsets, offsets_at; rows,
    columns. For o < outputs and k < taps, it adds to the vector at position sums_at + o * sums_step + 16 k of `sums`
    the sum over i < rows and j < columns of the vector at y_at + o * y_step + i * y_row + 16 j of `y` times that at
    x_at + offsets[offsets_at + k] + i * x_row + 16 j of `x`.
    """

    @intrinsic
    def function(
        typing: Any,
        sums: Any,
        sums_at: Any,
        sums_step: Any,
        y: Any,
        y_at: Any,
        y_step: Any,
        y_row: Any,
        x: Any,
        x_at: Any,
        x_row: Any,
        offsets: Any,
        offsets_at: Any,
        rows: Any,
        columns: Any,
    ) -> Any:
        integer = types.int64

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            sums, sums_at, sums_step, y, y_at, y_step, y_row, x, x_at, x_row, offsets, offsets_at, rows, columns = (
                arguments
            )
            kinds = signature.args
            targets = _pointer(context, builder, kinds[0], sums, sums_at)
            offset = _pointer(context, builder, kinds[10], offsets, offsets_at)
            y_first = _pointer(context, builder, kinds[3], y, y_at)
            x_first = _pointer(context, builder, kinds[7], x, x_at)
            ys = [builder.gep(y_first, [builder.mul(y_step, _INT64(o))]) for o in range(outputs)]
            xs = [builder.gep(x_first, [builder.load(builder.gep(offset, [_INT64(k)]))]) for k in range(taps)]
            places = []
            for o in range(outputs):
                row = builder.gep(targets, [builder.mul(sums_step, _INT64(o))])
                places += [builder.gep(row, [_INT64(k * LANES)]) for k in range(taps)]
            with _Loop(builder, rows, [_load(builder, place) for place in places]) as outer:
                y_rows = [builder.gep(p, [builder.mul(outer.index, y_row)]) for p in ys]
                x_rows = [builder.gep(p, [builder.mul(outer.index, x_row)]) for p in xs]
                with _Loop(builder, columns, outer.values) as inner:
                    at = builder.mul(inner.index, _INT64(LANES))
                    y_vectors = [_load(builder, builder.gep(p, [at])) for p in y_rows]
                    for k in range(taps):
                        vector = _load(builder, builder.gep(x_rows[k], [at]))
                        for o in range(outputs):
                            i = o * taps + k
                            inner.values[i] = _multiply_add(builder, y_vectors[o], vector, inner.values[i])
                outer.values = inner.values
            for place, value in zip(places, outer.values, strict=True):
                _store(builder, value, place)
            return context.get_dummy_value()

        arguments = (
            *(sums, integer, integer, y, integer, integer, integer),
            *(x, integer, integer, offsets, integer, integer, integer),
        )
        return types.void(*arguments), generate

    return function


class _Loop:
    """Generate a loop that runs at least once and carries `values` in registers from one iteration to the next."""

    def __init__(self, builder: Any, count: Any, values: list[Any]) -> None:
        self.builder, self.count, self.start = builder, count, values
        self.values: list[Any] = []
        self.index: Any = None

    def __enter__(self) -> _Loop:
        before = self.builder.block
        self.body = self.builder.append_basic_block("loop")
        self.builder.branch(self.body)
        self.builder.position_at_end(self.body)
        self.index = self.builder.phi(_INT64)
        self.index.add_incoming(_INT64(0), before)
        self.phis = [self.builder.phi(_FLOATS) for _ in self.start]
        for phi, value in zip(self.phis, self.start, strict=True):
            phi.add_incoming(value, before)
        self.values = list(self.phis)
        return self

    def __exit__(self, *exception: object) -> None:
        following, last = self.builder.add(self.index, _INT64(1)), self.builder.block
        self.index.add_incoming(following, last)
        for phi, value in zip(self.phis, self.values, strict=True):
            phi.add_incoming(value, last)
        done = self.builder.append_basic_block("done")
        self.builder.cbranch(self.builder.icmp_signed("<", following, self.count), self.body, done)
        self.builder.position_at_end(done)
