"""The innermost loops, as LLVM vectors: what Numba alone leaves in memory.

Each handles `width` positions at a time, in registers. LLVM cuts the vectors
to what the processor has.

All take whole arrays and offsets into them, and check nothing.
"""

from llvmlite import ir
from numba import types
from numba.core.errors import RequireLiteralValue
from numba.extending import intrinsic

BLOCK = 16  # Positions and channels that `transpose` turns at once.
MANY = 8  # Dot products that are summed up at once.

_F32 = ir.FloatType()
_I32 = ir.IntType(32)
_I64 = ir.IntType(64)


@intrinsic
def add_rows(
    context, width, out, at, values, index, begin, end, table, source, by,
    dots, line, line_at,
):  # fmt: skip
    """Adds up rows, source[table[index[j]] + by:], for j in [begin, end).

    Of `width` positions:

        out[at:] += values[j] * row
        dots[j] += dot(line[line_at:], row), unless `dots` is None

    With dots, rows are fetched ahead: the processor, busy with sums, does not.
    """
    lanes = _literal(width)
    vector = ir.VectorType(_F32, lanes)

    def generate(context, builder, signature, arguments):
        (
            _, out, at, values, index, begin, end, table, source, by, dots,
            line, line_at,
        ) = (
            _pointer(context, builder, kind, argument)
            for kind, argument in zip(signature.args, arguments, strict=True)
        )  # fmt: skip

        def row_at(j):
            row = _element(builder, table, _element(builder, index, j))
            return builder.add(row, by)

        def several(count):
            def body(step, total):
                first = builder.add(begin, builder.mul(step, _I64(count)))
                folded = []
                for k in range(count):
                    j = builder.add(first, _I64(k))
                    value = _element(builder, values, j)
                    value = _splat(builder, value, vector)
                    row = _vector(builder, source, row_at(j), vector)
                    total = _add_product(builder, value, row, total)
                    if dots is not None:
                        folded.append(_folded_product(builder, line, row))
                    if count == MANY:
                        later = _smaller(
                            builder,
                            builder.add(j, _I64(MANY)),
                            builder.sub(end, _I64(1)),
                        )
                        _fetch(builder, source, row_at(later), lanes)
                if dots is not None:
                    _add_sums(builder, folded, dots, first)
                return total

            return body

        total = _vector(builder, out, at, vector)
        if dots is not None:
            line = _vector(builder, line, line_at, vector)
            steps = builder.sdiv(builder.sub(end, begin), _I64(MANY))
            total = _loop(builder, _I64(0), steps, total, several(MANY))
            begin = builder.add(begin, builder.mul(steps, _I64(MANY)))
        rest = builder.sub(end, begin)
        total = _loop(builder, _I64(0), rest, total, several(1))
        builder.store(total, _vector_at(builder, out, at, vector), align=4)
        return context.get_dummy_value()

    arguments = (width, out, at, values, index, begin, end)
    arguments += (table, source, by, dots, line, line_at)
    return types.void(*arguments), generate


@intrinsic
def add_to_rows(
    context, width, out, at, step, values, index, begin, end, line, line_at
):
    """out[at + step * index[j]:] += values[j] * line[line_at:].

    For j in [begin, end), of `width` positions.
    """
    vector = ir.VectorType(_F32, _literal(width))

    def generate(context, builder, signature, arguments):
        _, out, at, step, values, index, begin, end, line, line_at = (
            _pointer(context, builder, kind, argument)
            for kind, argument in zip(signature.args, arguments, strict=True)
        )
        line = _vector(builder, line, line_at, vector)

        def body(j, carried):
            value = _splat(builder, _element(builder, values, j), vector)
            row = builder.mul(step, _element(builder, index, j))
            address = _vector_at(builder, out, builder.add(at, row), vector)
            total = builder.load(address, align=4)
            total = _add_product(builder, value, line, total)
            builder.store(total, address, align=4)
            return carried

        _loop(builder, begin, end, [], body)
        return context.get_dummy_value()

    arguments = (width, out, at, step, values, index, begin, end, line, line_at)
    return types.void(*arguments), generate


@intrinsic
def add_dots(context, count, out, at, length, a, a_at, b, table, by, index):
    """out[at + k] += dot(a[a_at:], b[table[index[at + k]] + by:]), k < count.

    The dot product is over `length` positions, a multiple of BLOCK.
    """
    many, lanes = _literal(count), BLOCK

    def generate(context, builder, signature, arguments):
        vector = ir.VectorType(_F32, lanes)
        _, out, at, length, a, a_at, b, table, by, index = (
            _pointer(context, builder, kind, argument)
            for kind, argument in zip(signature.args, arguments, strict=True)
        )
        places = [builder.add(at, _I64(k)) for k in range(many)]
        rows = [
            builder.add(
                by, _element(builder, table, _element(builder, index, place))
            )
            for place in places
        ]

        def body(block, sums):
            begin = builder.mul(block, _I64(lanes))
            first = builder.load(
                _vector_at(builder, a, builder.add(a_at, begin), vector),
                align=4,
            )
            added = []
            for row, total in zip(rows, sums, strict=True):
                address = _vector_at(
                    builder, b, builder.add(row, begin), vector
                )
                line = builder.load(address, align=4)
                added.append(_add_product(builder, first, line, total))
            return added

        blocks = builder.sdiv(length, _I64(lanes))
        zeros = [ir.Constant(vector, [0.0] * lanes)] * many
        sums = _loop(builder, _I64(0), blocks, zeros, body)
        _add_sums(builder, sums, out, at)
        return context.get_dummy_value()

    arguments = (count, out, at, length, a, a_at, b, table, by, index)
    return types.void(*arguments), generate


@intrinsic
def transpose(context, out, at, step, source, rows, first, column):
    """out[at + i * step + k] = source[rows[first + k] + column + i].

    For i and k below BLOCK; 0 where rows[first + k] is negative.
    """

    def generate(context, builder, signature, arguments):
        out, at, step, source, rows, first, column = (
            _pointer(context, builder, kind, argument)
            for kind, argument in zip(signature.args, arguments, strict=True)
        )
        vector = ir.VectorType(_F32, BLOCK)
        zeros = ir.Constant(vector, [0.0] * BLOCK)
        lines = []
        for k in range(BLOCK):
            row = _element(builder, rows, builder.add(first, _I64(k)))
            inside = builder.icmp_signed(">=", row, _I64(0))
            row = builder.select(inside, row, _I64(0))
            address = _vector_at(
                builder, source, builder.add(row, column), vector
            )
            line = builder.load(address, align=4)
            lines.append(builder.select(inside, line, zeros))
        for i, line in enumerate(_transposed(builder, lines)):
            offset = builder.add(at, builder.mul(_I64(i), step))
            builder.store(
                line, _vector_at(builder, out, offset, vector), align=4
            )
        return context.get_dummy_value()

    arguments = (out, at, step, source, rows, first, column)
    return types.void(*arguments), generate


@intrinsic
def transpose_back(context, out, rows, first, column, source, at, step):
    """out[rows[first + k] + column + i] = source[at + i * step + k].

    For i and k below BLOCK; nothing where rows[first + k] is negative.
    """

    def generate(context, builder, signature, arguments):
        out, rows, first, column, source, at, step = (
            _pointer(context, builder, kind, argument)
            for kind, argument in zip(signature.args, arguments, strict=True)
        )
        vector = ir.VectorType(_F32, BLOCK)
        lines = []
        for i in range(BLOCK):
            offset = builder.add(at, builder.mul(_I64(i), step))
            lines.append(
                builder.load(
                    _vector_at(builder, source, offset, vector), align=4
                )
            )
        for k, line in enumerate(_transposed(builder, lines)):
            row = _element(builder, rows, builder.add(first, _I64(k)))
            with builder.if_then(builder.icmp_signed(">=", row, _I64(0))):
                address = _vector_at(
                    builder, out, builder.add(row, column), vector
                )
                builder.store(line, address, align=4)
        return context.get_dummy_value()

    arguments = (out, rows, first, column, source, at, step)
    return types.void(*arguments), generate


def _literal(kind):
    """The number that a call gives, known when it is compiled."""
    if not isinstance(kind, types.IntegerLiteral):
        raise RequireLiteralValue("widths and counts must be literal")
    return kind.literal_value


def _pointer(context, builder, kind, argument):
    """An array's first element; an int as 64 bits; None."""
    if isinstance(kind, types.NoneType):
        return None
    if isinstance(kind, types.Array):
        return context.make_array(kind)(context, builder, argument).data
    return context.cast(builder, argument, kind, types.int64)


def _element(builder, pointer, place):
    """pointer[place], an int as 64 bits."""
    value = builder.load(builder.gep(pointer, [place]))
    return builder.sext(value, _I64) if value.type == _I32 else value


def _vector_at(builder, pointer, place, vector):
    address = builder.gep(pointer, [place])
    return builder.bitcast(address, vector.as_pointer())


def _vector(builder, pointer, place, vector):
    """The vector that begins at pointer[place]."""
    return builder.load(_vector_at(builder, pointer, place, vector), align=4)


def _fetch(builder, pointer, place, lanes):
    """Asks for pointer[place:] to be in the first cache soon."""
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte, _I32, _I32, _I32])
    prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
    for at in range(0, lanes, BLOCK):
        address = builder.gep(pointer, [builder.add(place, _I64(at))])
        address = builder.bitcast(address, byte)
        # To read, for long, as data.
        builder.call(prefetch, [address, _I32(0), _I32(3), _I32(1)])


def _smaller(builder, a, b):
    return builder.select(builder.icmp_signed("<", a, b), a, b)


def _splat(builder, value, vector):
    undefined = ir.Constant(vector, ir.Undefined)
    single = builder.insert_element(undefined, value, _I32(0))
    mask = ir.Constant(ir.VectorType(_I32, vector.count), [0] * vector.count)
    return builder.shuffle_vector(single, undefined, mask)


def _add_product(builder, a, b, total):
    """Returns a * b + total, in one instruction where there is one."""
    contract = ("contract",)
    return builder.fadd(
        builder.fmul(a, b, flags=contract), total, flags=contract
    )


def _folded_product(builder, a, b):
    """The products of two vectors' lanes, added up to BLOCK lanes."""
    total = None
    for at in range(0, a.type.count, BLOCK):
        lanes = range(at, at + BLOCK)
        x, y = _shuffled(builder, a, a, lanes), _shuffled(builder, b, b, lanes)
        total = (
            builder.fmul(x, y)
            if total is None
            else _add_product(builder, x, y, total)
        )
    return total


def _add_sums(builder, vectors, out, at):
    """out[at + k] += sum of the lanes of vector k, of BLOCK; 2**n vectors.

    Halves are added, of two vectors at once until there is but one.
    """
    part = BLOCK  # Lanes that are of the same vector.
    while part > 1:
        part //= 2
        low = [k for k in range(2 * BLOCK) if not k & part]
        if len(vectors) == 1:
            low = low[: vectors[0].type.count // 2]
        high = [k + part for k in low]
        vectors = [
            builder.fadd(
                _shuffled(builder, a, b, low), _shuffled(builder, a, b, high)
            )
            for a, b in zip(vectors[::2], vectors[1::2] or vectors, strict=True)
        ]
    address = _vector_at(builder, out, at, vectors[0].type)
    sums = builder.fadd(builder.load(address, align=4), vectors[0])
    builder.store(sums, address, align=4)


def _shuffled(builder, a, b, lanes):
    """The lanes of those numbers, where b's follow a's."""
    mask = ir.Constant(ir.VectorType(_I32, len(lanes)), list(lanes))
    return builder.shuffle_vector(a, b, mask)


def _transposed(builder, lines):
    """A square of vectors, turned: in log2 steps, halves change places."""
    half = len(lines) // 2
    while half:
        turned = list(lines)
        for a in range(len(lines)):
            if a & half:
                continue
            b = a + half
            for target, start in ((a, 0), (b, half)):
                order = [
                    (lane if not lane & half else lane - half + len(lines))
                    + start
                    for lane in range(len(lines))
                ]
                turned[target] = _shuffled(builder, lines[a], lines[b], order)
        lines, half = turned, half // 2
    return lines


def _loop(builder, begin, end, start, body):
    """What `body(j, carried)` carries after j from `begin` to `end`."""
    single = not isinstance(start, list)
    start = [start] if single else start
    before = builder.block
    loop = builder.append_basic_block("loop")
    after = builder.append_basic_block("after")
    builder.cbranch(builder.icmp_signed("<", begin, end), loop, after)
    builder.position_at_end(loop)
    place = builder.phi(_I64)
    carried = [builder.phi(value.type) for value in start]
    results = body(place, carried[0] if single else carried)
    results = [results] if single else results
    following = builder.add(place, _I64(1))
    inside = builder.block
    builder.cbranch(builder.icmp_signed("<", following, end), loop, after)
    builder.position_at_end(after)
    place.add_incoming(begin, before)
    place.add_incoming(following, inside)
    outcomes = []
    for phi, first, result in zip(carried, start, results, strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(result, inside)
        outcome = builder.phi(first.type)
        outcome.add_incoming(first, before)
        outcome.add_incoming(result, inside)
        outcomes.append(outcome)
    return outcomes[0] if single else outcomes
