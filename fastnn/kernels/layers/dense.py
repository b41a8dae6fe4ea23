"""Dense layers: products of matrices, whose units are in cpu/products.py."""

import numpy as np

from fastnn.kernels import catalog, units
from fastnn.kernels.cpu.packing import PackedWeights
from fastnn.kernels.layers.base import Operations, Parameters

# A task has about PARAMETER_ROWS rows of a weight matrix, for each of which all deltas are read, or
# PARAMETER_BLOCK elements of a narrow one.
PARAMETER_ROWS = 96
PARAMETER_BLOCK = 8192


class DenseOperations(Operations):
    """The operations of a `fastnn.network.layers.dense.Dense`."""

    reads_in_place = reads_sparse = writes_moving = True

    def __init__(self, layer, places, room, common):
        super().__init__(layer, places, room, common)
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
        self.weight_block = self._rows_of_task()
        self.weight_tasks = -(-layer.n_in // self.weight_block)

    @classmethod
    def reads_again(cls, layer):
        return True, False

    def _rows_of_task(self):
        """Rows of the weight matrix in a task: whole segments.

        They are enough to be worth a task, but leave enough tasks to be common out evenly.
        """
        segment, n_threads = units.SEGMENT, self.common.n_threads
        fitting = round(max(PARAMETER_ROWS, PARAMETER_BLOCK / self.layer.n_out) / segment)
        even = -(-self.layer.n_in // (segment * (1 if n_threads == 1 else 2 * n_threads)))
        return segment * max(1, min(fitting, even))

    # ---- the rows of a mini-batch --------------------------------------------------

    def add_forward(self):
        layer, common, source, target = self.layer, self.common, self.room.input, self.room.output
        weights, biases = (self.part(common.params, name) for name in ("weights", "biases"))
        if source is None:
            common.plan.add(
                catalog.csr_matmul_unit(common.precision),
                **common.source.csr,
                weights_at=weights,
                c_at=target.matrix,
                c_moving=target.moves,
                ld=target.stride,
                bias_at=biases,
                n=layer.n_out,
                block=common.row_block,
            )
            return
        packed = self.packed.forward
        common.plan.add(
            catalog.multiply_rows_unit(),
            **catalog.factors(common.precision),
            **self._left_factor(),
            a_moves=source.moves,
            b_at=weights if packed is None else packed,
            b_stride=layer.n_out,
            packed=packed is not None,
            c_at=target.matrix,
            c_stride=target.stride,
            c_moves=target.moves,
            bias_at=biases,
            init=units.BIAS,
            n=layer.n_out,
            k=layer.n_in,
            block=common.row_block,
        )

    def add_backward(self, gradient):
        layer, common, target = self.layer, self.common, self.room.input_delta
        if target is None:
            return
        delta = self.room.delta
        common.plan.add(
            catalog.multiply_rows_unit(),
            **catalog.factors(common.precision),
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
        weights_and_biases = (
            (self._left_factor(), self.layer.n_in, "weights"),
            (self._ones(), 1, "biases"),
        )
        for left_factor, m, name in weights_and_biases:
            self.common.plan.add(
                catalog.part_gradient_unit(),
                **catalog.factors(self.common.precision),
                **left_factor,
                **self._right_factor(),
                parts_at=self.part(self.common.parts, name),
                n_params=len(self.common.params),
                m=m,
                block=self.common.row_block,
            )

    # ---- the parameters ------------------------------------------------------------

    def parameters(self):
        return [_Weights(self, [self.places["weights"]]), _Biases(self, [self.places["biases"]])]

    def add_weight_gradient(self, gradient, init):
        """In a chain over rows of the weight matrix: the gradient of these."""
        layer, common, source = self.layer, self.common, self.room.input
        target = self.part(gradient, "weights")
        if source is None:
            delta = self.room.delta
            common.plan.add(
                catalog.csr_gradient_unit(common.precision),
                **common.source.csr,
                delta_at=delta.matrix,
                ld=delta.stride,
                gradient_at=target,
                n=layer.n_out,
                n_features=layer.n_in,
                init=init,
                block=self.weight_block,
            )
            return
        common.plan.add(
            catalog.weight_gradient_unit(),
            **catalog.factors(common.precision),
            **self._left_factor(),
            a_moves=source.moves,
            **self._right_factor(),
            gradient_at=target,
            init=init,
            m=layer.n_in,
            block=self.weight_block,
        )

    def add_bias_gradient(self, gradient, init):
        """In a chain of one task: the gradient of the biases."""
        self.common.plan.add(
            catalog.weight_gradient_unit(),
            **catalog.factors(self.common.precision),
            **self._ones(),
            a_moves=False,
            **self._right_factor(),
            gradient_at=self.part(gradient, "biases"),
            init=init,
            m=1,
            block=1,
        )

    def add_preparation(self, plan):
        plan.chain(tasks=self.weight_tasks)
        self.packed.add(plan, self.weight_block)


class _Weights(Parameters):
    """The weights, in blocks of rows."""

    is_matrix = True

    def __init__(self, operations, places):
        super().__init__(operations, places)
        layer, block = operations.layer, operations.weight_block
        self.tasks = operations.weight_tasks
        self.place["block"] = block * layer.n_out
        self.shape = (layer.n_in, layer.n_out, block)

    def add_gradient(self, gradient, init):
        if self.operations.common.in_parts:
            self.operations.common.add_sum_parts(gradient, **self.place)
        else:
            self.operations.add_weight_gradient(gradient, init)

    def add_rest(self, plan):
        self.operations.packed.add(plan, self.operations.weight_block)


class _Biases(Parameters):
    """The biases."""

    def add_gradient(self, gradient, init):
        if self.operations.common.in_parts:
            self.operations.common.add_sum_parts(gradient, **self.place)
        else:
            self.operations.add_bias_gradient(gradient, init)
