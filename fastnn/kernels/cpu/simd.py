"""CPU intrinsics on vectors: the register tile of the matmul, transposing, and sums.

Everything here emits LLVM IR for vectors of a fixed length, and LLVM turns it into what the
processor has. Results never depend on the processor: each output element of the tile
accumulates k = 0 .. K-1 in order with an explicit fma, and every reduction has a fixed
number of lanes.
"""

from dataclasses import dataclass
from functools import cache

from llvmlite import ir
from numba import types as nb
from numba.extending import intrinsic

from fastnn.kernels.floats import IR_TYPES, NUMBA_TYPES, declare, declare_fma
from fastnn.kernels.numba_internals import assembly, target_data

WORD = ir.IntType(64)
INT32 = ir.IntType(32)


@dataclass(frozen=True)
class Tile:
    """The shape of the register tile: ``rows`` times ``vectors`` registers of ``lanes``."""

    rows: int
    vectors: int
    lanes: int

    @property
    def columns(self):
        return self.vectors * self.lanes


# TILES are those for float32, by the bytes of a vector register; float64 has half the lanes.
# Sixteen sums, or the twelve that fit sixteen registers, hide the latency of fma; eight rows divide
# the usual sizes of batches and layers.
TILES = {64: Tile(8, 2, 16), 32: Tile(6, 2, 8), 16: Tile(6, 2, 4)}


@cache
def vector_bytes():
    """Bytes of a vector register in the code that Numba generates on this machine."""
    probe = """define <16 x float> @probe(<16 x float> %x) {
        %y = fadd <16 x float> %x, %x
        ret <16 x float> %y
    }"""
    instructions = assembly(probe)
    return 64 if "zmm" in instructions else 32 if "ymm" in instructions else 16


def tile_shape(precision):
    """The register tile for float32 or float64 on this machine."""
    tile = TILES[vector_bytes()]
    return tile if precision == "float32" else Tile(tile.rows, tile.vectors, tile.lanes // 2)


class _TileBuilder:
    """Emits one tile: C[rows, columns] = init + A[rows, k] B[k, columns].

    ``init`` says what the sums start from: 0 zero, 1 what is in C, 2 the bias row. An edge
    tile computes all rows (those beyond the last are copies of it) and reads and writes
    only the columns and rows that exist.
    """

    def __init__(self, builder, precision, tile, edge, matrices, bias, words):
        self.builder = builder
        self.tile = tile
        self.element = IR_TYPES[precision]
        self.vector = ir.VectorType(self.element, tile.lanes)
        self.mask_type = ir.VectorType(ir.IntType(1), tile.lanes)
        self.alignment = self.element.get_abi_size(target_data())
        (self.a, self.row_stride, self.k_stride), (self.b, self.b_stride, _) = matrices[:2]
        (self.c, self.c_stride, _), self.bias = matrices[2], bias
        self.init, self.k, self.n_rows, self.n_columns = words
        self.masks = self._masks() if edge else None

    def emit(self):
        """Emit the whole tile at the builder's position."""
        starts = [self._row_offset(i, self.row_stride) for i in range(self.tile.rows)]
        self._loop(starts, self._initial_sums())

    def _masks(self):
        """For each vector of a row, which of its lanes are columns that exist."""
        lane_type = ir.VectorType(WORD, self.tile.lanes)
        valid = self._splat(self.n_columns, lane_type)
        masks = []
        for v in range(self.tile.vectors):
            first = v * self.tile.lanes
            lanes = ir.Constant(lane_type, list(range(first, first + self.tile.lanes)))
            masks.append(self.builder.icmp_signed("<", lanes, valid))
        return masks

    def _splat(self, scalar, vector_type):
        zero = ir.Constant(INT32, 0)
        undefined = ir.Constant(vector_type, ir.Undefined)
        single = self.builder.insert_element(undefined, scalar, zero)
        lanes = ir.Constant(ir.VectorType(INT32, vector_type.count), [0] * vector_type.count)
        return self.builder.shuffle_vector(single, undefined, lanes)

    def _vector_pointer(self, pointer, offset):
        place = self.builder.gep(pointer, [offset])
        return self.builder.bitcast(place, self.vector.as_pointer())

    def _load(self, pointer, offset, v):
        """Vector ``v`` of the row of columns that starts at ``offset``."""
        offset = self.builder.add(offset, ir.Constant(WORD, v * self.tile.lanes))
        place = self._vector_pointer(pointer, offset)
        if self.masks is None:
            return self.builder.load(place, align=self.alignment)
        load = self._masked_intrinsic("load", self.vector, [place.type, INT32])
        zeros = ir.Constant(self.vector, [0.0] * self.tile.lanes)
        align = ir.Constant(INT32, self.alignment)
        return self.builder.call(load, [place, align, self.masks[v], zeros])

    def _store(self, value, pointer, offset, v):
        offset = self.builder.add(offset, ir.Constant(WORD, v * self.tile.lanes))
        place = self._vector_pointer(pointer, offset)
        if self.masks is None:
            self.builder.store(value, place, align=self.alignment)
            return
        store = self._masked_intrinsic("store", ir.VoidType(), [place.type, INT32])
        align = ir.Constant(INT32, self.alignment)
        self.builder.call(store, [value, place, align, self.masks[v]])

    def _masked_intrinsic(self, what, returns, middle):
        letter = "f32" if isinstance(self.element, ir.FloatType) else "f64"
        name = f"llvm.masked.{what}.v{self.tile.lanes}{letter}.p0"
        if what == "load":
            arguments = [*middle, self.mask_type, self.vector]
        else:
            arguments = [self.vector, *middle, self.mask_type]
        return declare(self.builder.module, name, returns, arguments)

    def _row_offset(self, i, stride):
        """Offset of row i of the tile; beyond the last row, of the last row again."""
        row = ir.Constant(WORD, i)
        if self.masks is not None:
            last = self.builder.sub(self.n_rows, ir.Constant(WORD, 1))
            inside = self.builder.icmp_signed("<", row, self.n_rows)
            row = self.builder.select(inside, row, last)
        return self.builder.mul(row, stride)

    def _initial_sums(self):
        """The sums that the loop starts from, [row][vector]: zero, C or the bias."""
        builder, tile = self.builder, self.tile
        zero = ir.Constant(self.vector, [0.0] * tile.lanes)
        origin = ir.Constant(WORD, 0)
        blocks = {name: builder.append_basic_block(name) for name in ("old", "bias", "ready")}
        start = builder.block
        switch = builder.switch(self.init, blocks["ready"])
        switch.add_case(ir.Constant(WORD, 1), blocks["old"])
        switch.add_case(ir.Constant(WORD, 2), blocks["bias"])

        builder.position_at_end(blocks["old"])
        old = []
        for i in range(tile.rows):
            row = self._row_offset(i, self.c_stride)
            old.append([self._load(self.c, row, v) for v in range(tile.vectors)])
        builder.branch(blocks["ready"])

        builder.position_at_end(blocks["bias"])
        bias = [self._load(self.bias, origin, v) for v in range(tile.vectors)]
        builder.branch(blocks["ready"])

        builder.position_at_end(blocks["ready"])
        sums = []
        for i in range(tile.rows):
            sums.append([])
            for v in range(tile.vectors):
                phi = builder.phi(self.vector)
                phi.add_incoming(zero, start)
                phi.add_incoming(old[i][v], blocks["old"])
                phi.add_incoming(bias[v], blocks["bias"])
                sums[i].append(phi)
        return sums

    def _loop(self, starts, sums):
        """The loop over k, one fma per register of sums and turn, and the final stores."""
        builder, tile = self.builder, self.tile
        loop = builder.append_basic_block("loop")
        done = builder.append_basic_block("done")
        before = builder.block
        builder.branch(loop)

        builder.position_at_end(loop)
        p = builder.phi(WORD)
        p.add_incoming(ir.Constant(WORD, 0), before)
        totals = [[builder.phi(self.vector) for _ in range(tile.vectors)] for _ in starts]
        b_row = builder.mul(p, self.b_stride)
        b = [self._load(self.b, b_row, v) for v in range(tile.vectors)]
        fma = declare_fma(builder.module, self.vector)
        a_column = builder.gep(self.a, [builder.mul(p, self.k_stride)])
        for i, start in enumerate(starts):
            a = builder.load(builder.gep(a_column, [start]), align=self.alignment)
            a = self._splat(a, self.vector)
            for v in range(tile.vectors):
                phi = totals[i][v]
                phi.add_incoming(sums[i][v], before)
                phi.add_incoming(builder.call(fma, [a, b[v], phi]), loop)
                totals[i][v] = phi.incomings[1][0]
        next_p = builder.add(p, ir.Constant(WORD, 1))
        p.add_incoming(next_p, loop)
        builder.cbranch(builder.icmp_signed("<", next_p, self.k), loop, done)

        builder.position_at_end(done)
        for i in range(tile.rows):
            self._store_row(i, totals[i])

    def _store_row(self, i, totals):
        builder = self.builder
        offset = builder.mul(ir.Constant(WORD, i), self.c_stride)
        if self.masks is None:
            for v, value in enumerate(totals):
                self._store(value, self.c, offset, v)
            return
        exists = builder.icmp_signed("<", ir.Constant(WORD, i), self.n_rows)
        with builder.if_then(exists):
            for v, value in enumerate(totals):
                self._store(value, self.c, offset, v)


def data_pointer(context, builder, array_type, array, offset):
    """Address of element ``offset`` of a 1-D array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [offset])


def make_tile(precision, tile, *, edge):
    """The tile as an intrinsic: ``tile(a, b, c, bias, init, k, n_rows, n_columns)``.

    A, B and C are NamedTuples of a 1-D array, which begins with the matrix's first element, and
    of its strides from row to row and from column to column. The rows of B and C are contiguous.
    k is at least 1.
    """

    @intrinsic
    def run_tile(typingctx, a, b, c, bias, init, k, n_rows, n_columns):
        def codegen(context, builder, signature, values):
            matrices = [
                _matrix(context, builder, kind, value)
                for kind, value in zip(signature.args[:3], values[:3], strict=True)
            ]
            first_bias = data_pointer(
                context, builder, signature.args[3], values[3], ir.Constant(WORD, 0)
            )
            words = values[4:]
            _TileBuilder(builder, precision, tile, edge, matrices, first_bias, words).emit()
            return context.get_dummy_value()

        return nb.void(a, b, c, bias, nb.int64, nb.int64, nb.int64, nb.int64), codegen

    return run_tile


def _matrix(context, builder, kind, value):
    """A pointer to a matrix's first element, and its two strides as words."""
    array, *strides = (builder.extract_value(value, i) for i in range(3))
    pointer = data_pointer(context, builder, kind.types[0], array, ir.Constant(WORD, 0))
    words = (
        context.cast(builder, stride, own, nb.int64)
        for own, stride in zip(kind.types[1:], strides, strict=True)
    )
    return pointer, *words


def make_transpose(precision, lanes):
    """``transpose(x, offset, stride, y, y_offset, y_stride)``: a square block, in registers.

    The block has ``lanes`` rows of ``lanes`` elements. Off-diagonal blocks of half its size change
    places, then those of a quarter within each, and so on (Eklundh, 1972).
    """
    element = IR_TYPES[precision]
    vector = ir.VectorType(element, lanes)

    def exchanged(builder, upper, lower, size):
        # Lane i of the lower row is number lanes + i.
        for own, other in ((0, lanes - size), (size, lanes)):
            picks = [i + (other if i & size else own) for i in range(lanes)]
            mask = ir.Constant(ir.VectorType(INT32, lanes), picks)
            yield builder.shuffle_vector(upper, lower, mask)

    @intrinsic
    def transpose(typingctx, x, offset, stride, y, y_offset, y_stride):
        def codegen(context, builder, signature, values):
            alignment = element.get_abi_size(target_data())
            places = []
            for array, start, step in ((0, 1, 2), (3, 4, 5)):
                base = data_pointer(
                    context, builder, signature.args[array], values[array], values[start]
                )
                rows = [builder.mul(ir.Constant(WORD, i), values[step]) for i in range(lanes)]
                places.append(
                    [builder.bitcast(builder.gep(base, [row]), vector.as_pointer()) for row in rows]
                )
            block = [builder.load(place, align=alignment) for place in places[0]]
            size = lanes // 2
            while size:
                for i in range(lanes):
                    if not i & size:
                        pair = exchanged(builder, block[i], block[i + size], size)
                        block[i], block[i + size] = pair
                size //= 2
            for row, place in zip(block, places[1], strict=True):
                builder.store(row, place, align=alignment)
            return context.get_dummy_value()

        i = nb.int64
        return nb.void(x, i, i, y, i, i), codegen

    return transpose


# SUM_LANES are those of every sum over many elements, whatever the processor has.
SUM_LANES = 16


def make_lane_sum(precision, *, of):
    """``lane_sum(x, offset, n)``: the sum of n "values", or of their "squares" or "sizes".

    Lane l sums the elements l, l + 16, l + 32, ... in order; the lanes are then added in
    halves. The order is fixed, so the result is the same on every processor.
    """
    element = IR_TYPES[precision]
    vector = ir.VectorType(element, SUM_LANES)

    @intrinsic
    def lane_sum(typingctx, x, offset, n):
        def codegen(context, builder, signature, values):
            pointer = data_pointer(context, builder, signature.args[0], values[0], values[1])
            total = _lane_totals(builder, pointer, values[2], vector, of)
            width = SUM_LANES
            while width > 1:
                width //= 2
                halves = [
                    builder.shuffle_vector(
                        total, total, ir.Constant(ir.VectorType(INT32, width), lanes)
                    )
                    for lanes in (list(range(width)), list(range(width, 2 * width)))
                ]
                total = builder.fadd(*halves)
            return builder.extract_element(total, ir.Constant(INT32, 0))

        return NUMBA_TYPES[precision](x, nb.int64, nb.int64), codegen

    return lane_sum


def _lane_totals(builder, pointer, n, vector, of):
    """Emit the loop of `make_lane_sum`: whole vectors, then single elements into lanes."""
    zero, one = ir.Constant(WORD, 0), ir.Constant(WORD, 1)
    lanes = ir.Constant(WORD, vector.count)
    whole = builder.mul(builder.sdiv(n, lanes), lanes)
    alignment = vector.element.get_abi_size(target_data())
    zeros = ir.Constant(vector, [0.0] * vector.count)

    def zero_of(value_type):
        return zeros if value_type == vector else ir.Constant(value_type, 0.0)

    def accumulate(total, x, value_type):
        if of == "squares":
            return builder.call(declare_fma(builder.module, value_type), [x, x, total])
        if of == "sizes":
            x = builder.select(
                builder.fcmp_ordered("<", x, zero_of(value_type)), builder.fneg(x), x
            )
        return builder.fadd(total, x)

    def loop(name, start, stop, stride, initial, body):
        """for i in range(start, stop, stride): total = body(i, total)"""
        before = builder.block
        head, inside, after = (builder.append_basic_block(name) for _ in range(3))
        builder.branch(head)
        builder.position_at_end(head)
        i, total = builder.phi(WORD), builder.phi(vector)
        i.add_incoming(start, before)
        total.add_incoming(initial, before)
        builder.cbranch(builder.icmp_signed("<", i, stop), inside, after)
        builder.position_at_end(inside)
        total.add_incoming(body(i, total), inside)
        i.add_incoming(builder.add(i, stride), inside)
        builder.branch(head)
        builder.position_at_end(after)
        return total

    def whole_vector(i, total):
        place = builder.bitcast(builder.gep(pointer, [i]), vector.as_pointer())
        return accumulate(total, builder.load(place, align=alignment), vector)

    def single(i, total):
        lane = builder.sub(i, whole)
        x = builder.load(builder.gep(pointer, [i]))
        new = accumulate(builder.extract_element(total, lane), x, vector.element)
        return builder.insert_element(total, new, lane)

    total = loop("vectors", zero, whole, lanes, zeros, whole_vector)
    return loop("rest", whole, n, one, total, single)
