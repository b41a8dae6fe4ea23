"""The products of a dense layer on a GPU, whose units are in products.py."""

from fastnn.kernels import units
from fastnn.kernels.cuda import products
from fastnn.kernels.layers.base import part_of

# Products with at most NARROW columns are made in the chain of the rows, and others in a group of
# their own, which has as many tasks as there are tiles.
NARROW = 16


class DenseProducts:
    """The products of one dense layer in a plan; see `fastnn.kernels.layers.dense.DenseProducts`.

    Parameters
    ----------
    operations : fastnn.kernels.layers.dense.DenseOperations
    """

    # Tiles read the weights as they are.
    is_packed = False

    def __init__(self, operations):
        layer, common, room = operations.layer, operations.common, operations.room
        self.layer, self.common, self.room = layer, common, room
        # The operations have these products, and a circle of both would keep their memory.
        self.places = operations.places
        self.weight_block = units.SEGMENT
        self.gradient_tile = common.machine.tile_for(layer.n_in, layer.n_out, common.precision)
        self.gradient_tasks = self.gradient_tile.count(layer.n_in, layer.n_out)

    def _part(self, vector, name):
        return part_of(self.places, vector, name)

    def add_forward(self):
        """The output is the input times the weights, and the biases."""
        weights = self._part(self.common.params, "weights")
        biases = self._part(self.common.params, "biases")
        self._add_rows(self.room.input, (weights, self.layer.n_out, 1), self.room.output, biases)

    def add_backward(self):
        """The input's delta is the delta times the weights' transpose."""
        weights = self._part(self.common.params, "weights")
        self._add_rows(self.room.delta, (weights, 1, self.layer.n_out), self.room.input_delta, None)

    def _add_rows(self, source, factor, target, biases):
        """Target (rows, n) = source (rows, k) times a factor (k, n), in a chain over rows."""
        common = self.common
        matrix, row_stride, column_stride = factor
        tile = common.machine.tile_for(common.rows, target.n, common.precision)
        is_narrow = target.n <= NARROW
        block, column_block = common.row_block, target.n
        if not is_narrow:
            block, column_block = tile.tile_m, tile.tile_n
            common.plan.group()
            common.plan.chain(tasks=-(-target.n // column_block), row_block=block)
        common.plan.add(
            products.product_unit(products.multiply_rows, common.precision, tile),
            a_at=source.matrix,
            a_stride=source.stride,
            a_moves=source.moves,
            b_at=matrix,
            b_row_stride=row_stride,
            b_column_stride=column_stride,
            c_at=target.matrix,
            c_stride=target.stride,
            c_moves=target.moves,
            bias_at=biases,
            n=target.n,
            k=source.n,
            block=block,
            column_block=column_block,
        )
        if not is_narrow:
            common.begin_rows_group()

    def _factors(self):
        """The input and the delta as factors of a gradient."""
        source, delta = self.room.input, self.room.delta
        return {
            "a_at": source.matrix,
            "a_stride": source.stride,
            "delta_at": delta.matrix,
            "delta_stride": delta.stride,
        }

    def add_part_gradients(self):
        """Chains of a group after the way back: the gradients of each part of the rows."""
        layer, common, tile = self.layer, self.common, self.gradient_tile
        common_arguments = {"n_params": len(common.params), "part_block": common.part_block}
        common.plan.chain(tasks=self.gradient_tasks, row_block=common.part_block)
        common.plan.add(
            products.product_unit(products.part_gradient, common.precision, tile),
            **self._factors(),
            parts_at=self._part(common.parts, "weights"),
            m=layer.n_in,
            n=layer.n_out,
            **common_arguments,
        )
        common.plan.chain(row_block=common.part_block)
        common.plan.add(
            products.part_bias_gradient_unit(common.precision),
            delta_at=self.room.delta.matrix,
            delta_stride=self.room.delta.stride,
            parts_at=self._part(common.parts, "biases"),
            n=layer.n_out,
            **common_arguments,
        )

    def add_weight_gradient(self, gradient, init):
        """In a chain of ``gradient_tasks``: the gradient of the weights."""
        common = self.common
        common.plan.add(
            products.product_unit(products.weight_gradient, common.precision, self.gradient_tile),
            **self._factors(),
            a_moves=self.room.input.moves,
            gradient_at=self._part(gradient, "weights"),
            init=init,
            m=self.layer.n_in,
            n=self.layer.n_out,
        )

    def add_bias_gradient(self, gradient, init):
        """In a chain of one task: the gradient of the biases."""
        self.common.plan.add(
            products.bias_gradient_unit(self.common.precision),
            delta_at=self.room.delta.matrix,
            delta_stride=self.room.delta.stride,
            gradient_at=self._part(gradient, "biases"),
            init=init,
            n=self.layer.n_out,
        )

    def add_packing(self, plan):
        """Nothing is packed."""
