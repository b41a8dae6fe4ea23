"""The products of a dense layer on the CPU, whose units are in products.py, and packed weights."""

import numpy as np

from fastnn.kernels import units
from fastnn.kernels.cpu import matmul, products
from fastnn.kernels.layers.base import part_of

# A task has about PARAMETER_ROWS rows of a weight matrix, for each of which all deltas are read, or
# PARAMETER_BLOCK elements of a narrow one.
PARAMETER_ROWS = 96
PARAMETER_BLOCK = 8192
# A weight matrix is packed for the forward pass where it no longer fits the second-level cache.
PACK_BYTES = 1 << 20


class DenseProducts:
    """The products of one dense layer in a plan; see `fastnn.kernels.layers.dense.DenseProducts`.

    Parameters
    ----------
    operations : fastnn.kernels.layers.dense.DenseOperations
    n_threads : int
    """

    def __init__(self, operations, n_threads):
        layer, common, room = operations.layer, operations.common, operations.room
        self.layer, self.common, self.room = layer, common, room
        # The operations have these products, and a circle of both would keep their memory.
        self.places = operations.places
        self.packed = PackedWeights(
            self.part(common.params, "weights"),
            layer.n_in,
            layer.n_out,
            common.precision,
            # A plan that reads one X after another is for few rows, and a sparse X is multiplied
            # by the weights where they are.
            forward=not (common.source.is_late or room.input is None),
            transposed=room.input_delta is not None,
        )
        self.is_packed = self.packed.forward is not None or self.packed.transposed is not None
        self.weight_block = self._rows_of_task(n_threads)
        self.gradient_tasks = -(-layer.n_in // self.weight_block)

    def part(self, vector, name):
        return part_of(self.places, vector, name)

    def _rows_of_task(self, n_threads):
        """Rows of the weight matrix in a task: whole segments.

        They are enough to be worth a task, but leave enough tasks to be shared out evenly.
        """
        segment = units.SEGMENT
        fitting = round(max(PARAMETER_ROWS, PARAMETER_BLOCK / self.layer.n_out) / segment)
        even = -(-self.layer.n_in // (segment * (1 if n_threads == 1 else 2 * n_threads)))
        return segment * max(1, min(fitting, even))

    def add_forward(self):
        """In a chain over rows: the output is the input times the weights, and the biases."""
        layer, common, source, target = self.layer, self.common, self.room.input, self.room.output
        packed = self.packed.forward
        common.plan.add(
            products.multiply_rows_unit(),
            **products.factors(common.precision),
            **self._left_factor(),
            a_moves=source.moves,
            b_at=self.part(common.params, "weights") if packed is None else packed,
            b_stride=layer.n_out,
            packed=packed is not None,
            c_at=target.matrix,
            c_stride=target.stride,
            c_moves=target.moves,
            bias_at=self.part(common.params, "biases"),
            init=units.BIAS,
            n=layer.n_out,
            k=layer.n_in,
            block=common.row_block,
        )

    def add_backward(self):
        """In a chain over rows: the input's delta is the delta times the weights' transpose."""
        layer, common = self.layer, self.common
        target, delta = self.room.input_delta, self.room.delta
        common.plan.add(
            products.multiply_rows_unit(),
            **products.factors(common.precision),
            a_at=delta.matrix,
            a_stride=delta.stride,
            a_moves=delta.moves,
            b_at=self.packed.transposed,
            b_stride=layer.n_in,
            packed=True,
            c_at=target.matrix,
            c_stride=target.stride,
            c_moves=target.moves,
            bias_at=None,
            init=units.ZERO,
            n=layer.n_in,
            k=layer.n_out,
            block=common.row_block,
        )

    def _left_factor(self):
        """The input as the left factor of a product."""
        return {"a_at": self.room.input.matrix, "a_stride": self.room.input.stride}

    def _right_factor(self):
        """The delta as the right factor of a gradient."""
        delta = self.room.delta
        return {"delta_at": delta.matrix, "delta_stride": delta.stride, "n": self.layer.n_out}

    def _ones(self):
        """The left factor of the biases' gradient: a column of ones, each of which is the same."""
        return {"a_at": np.ones(1, self.common.params.dtype), "a_stride": 0}

    def add_part_gradients(self):
        """In a chain over rows: what these add to the gradients, into their part."""
        weights_and_biases = (
            (self._left_factor(), self.layer.n_in, "weights"),
            (self._ones(), 1, "biases"),
        )
        for left_factor, m, name in weights_and_biases:
            self.common.plan.add(
                products.part_gradient_unit(),
                **products.factors(self.common.precision),
                **left_factor,
                **self._right_factor(),
                parts_at=self.part(self.common.parts, name),
                n_params=len(self.common.params),
                m=m,
                block=self.common.row_block,
            )

    def add_weight_gradient(self, gradient, init):
        """In a chain over rows of the weight matrix: the gradient of these."""
        self.common.plan.add(
            products.weight_gradient_unit(),
            **products.factors(self.common.precision),
            **self._left_factor(),
            a_moves=self.room.input.moves,
            **self._right_factor(),
            gradient_at=self.part(gradient, "weights"),
            init=init,
            m=self.layer.n_in,
            block=self.weight_block,
        )

    def add_bias_gradient(self, gradient, init):
        """In a chain of one task: the gradient of the biases."""
        self.common.plan.add(
            products.weight_gradient_unit(),
            **products.factors(self.common.precision),
            **self._ones(),
            a_moves=False,
            **self._right_factor(),
            gradient_at=self.part(gradient, "biases"),
            init=init,
            m=1,
            block=1,
        )

    def add_packing(self, plan):
        """In a chain over rows of the weight matrix: pack these for the passes to come."""
        self.packed.add(plan, self.weight_block)


class PackedWeights:
    """Room for a packed weight matrix (n_in, n_out), and what packs it.

    Parameters
    ----------
    weights : ndarray
        The parameters from the matrix's first on.
    n_in, n_out : int
    precision : {"float32", "float64"}
    forward, transposed : bool
        Whether the forward pass can read packed weights, and whether the delta of the input is
        wanted.

    Attributes
    ----------
    forward, transposed : ndarray or None
        The packed weights for the forward pass, where they are large, and for the delta.
    """

    def __init__(self, weights, n_in, n_out, precision, *, forward, transposed):
        self.weights, self.n_in, self.n_out, self.precision = weights, n_in, n_out, precision
        is_large = n_in * n_out * weights.itemsize > PACK_BYTES
        self.forward = self._room(n_in, n_out) if forward and is_large else None
        self.transposed = self._room(n_out, n_in) if transposed else None

    def _room(self, k, n):
        return np.zeros(matmul.packed_size(k, n, self.precision), self.weights.dtype)

    def add(self, plan, block):
        """In a chain over ``block`` rows of the matrix: pack them for the passes to come."""
        common = {"source_at": self.weights, "block": block}
        if self.forward is not None:
            plan.add(
                products.pack_unit(self.precision),
                **common,
                k_stride=self.n_out,
                column_stride=1,
                packed_at=self.forward,
                k=self.n_in,
                n=self.n_out,
                along_k=True,
            )
        if self.transposed is not None:
            plan.add(
                products.pack_unit(self.precision),
                **common,
                k_stride=1,
                column_stride=self.n_out,
                packed_at=self.transposed,
                k=self.n_out,
                n=self.n_in,
                along_k=False,
            )
