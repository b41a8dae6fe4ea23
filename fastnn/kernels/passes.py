"""The way through the network that every plan of the CPU backend shares.

In group "rows" a task takes some rows of the mini-batch from the data to the deltas of every
layer; in group "parameters" a task takes some rows of a weight matrix through its gradient,
its update and its packing for the next step. `Pass` adds the units, which work on its buffers.
"""

from itertools import pairwise

import numpy as np
from scipy import sparse

from fastnn.kernels import catalog, inputs, units
from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.buffers import Buffers
from fastnn.kernels.cpu.pace import Pace
from fastnn.kernels.cpu.packing import PackedWeights
from fastnn.kernels.losses import LOSSES
from fastnn.kernels.masks import Masks
from fastnn.kernels.normalization import Normalization
from fastnn.kernels.plan import Plan

# ROW_BLOCK is the most rows of a task: enough to use a panel of weights many times.
ROW_BLOCK = 104
# Blocks of rows are multiples of EVEN_ROWS, which are whole register tiles on most processors. It
# decides which sums are taken in parts, and so must not follow the tile.
EVEN_ROWS = 8
# A task of the group "parameters" has about PARAMETER_ROWS rows of a weight matrix, for each of
# which all deltas are read, or PARAMETER_BLOCK elements of a narrow one.
PARAMETER_ROWS = 96
PARAMETER_BLOCK = 8192
# CHUNK_ELEMENTS are those of the widest activation in a full-batch pass or a prediction.
CHUNK_ELEMENTS = 1 << 20
# A mini-batch in parts has about PART_ROWS rows in each and MOST_PARTS of them at most, and at
# least EXCHANGE_RATIO activations, inputs and outputs included, for each parameter.
PART_ROWS = 96
MOST_PARTS = 16
EXCHANGE_RATIO = 3


def flops(layer_units, rows, *, backward=True):
    """Floating point operations of the matrix products of a mini-batch."""
    n_weights = [n * m for n, m in pairwise(layer_units)]
    forward = 2 * rows * sum(n_weights)
    # The gradient of every layer, and the deltas of all but the first.
    return 3 * forward - 2 * rows * n_weights[0] if backward else forward


def chunk_rows(network):
    """Rows of a block of a pass over all the data, so that its buffers stay in bounds."""
    rows = CHUNK_ELEMENTS // max(network.layer_units)
    return max(ROW_BLOCK, min(4096, rows // ROW_BLOCK * ROW_BLOCK))


def sums_in_parts(network, X, rows):
    """Whether gradients are summed over parts of the mini-batch first, each by one task.

    Then threads exchange gradients instead of activations, which pays where gradients are fewer.
    It changes roundings, so it depends only on shapes.
    """
    exchanged = rows * sum(network.layer_units) // EXCHANGE_RATIO
    return (
        not sparse.issparse(X)
        and 2 * PART_ROWS <= rows <= MOST_PARTS * PART_ROWS
        and (network.n_params <= exchanged)
    )


def even_block(rows, n_blocks, n_threads=1):
    """Rows of a block, for at least so many blocks and as many for each thread."""
    n_blocks = -(-n_blocks // n_threads) * n_threads
    return -(-rows // (n_blocks * EVEN_ROWS)) * EVEN_ROWS


def cast(data, dtype):
    """The data with single targets in the network's precision, and weights in float64.

    X's own unit then gathers the targets, too, and one less is compiled. Wide targets are left to
    be cast mini-batch by mini-batch. Weights may have any size until their sum divides them.
    """
    y, weights = data.y, data.sample_weight
    if y.shape[1] == 1:
        y = np.ascontiguousarray(y, dtype=dtype)
    if weights is not None:
        weights = np.ascontiguousarray(weights, dtype=np.float64)
    return type(data)(data.X, y, weights)


class Pass:
    """The buffers of a pass through the network and the chains that every plan shares.

    Parameters
    ----------
    network : Network
    params : ndarray of shape (n_params,)
    source : DenseInput or SparseInput
        What the first layer reads; see `fastnn.kernels.inputs.read`.
    n_threads : int
    backward : bool
        Whether deltas are wanted.
    to_input : bool
        Whether the delta of the input is wanted, too.
    out : ndarray of shape (n, n_outputs), optional
        Where the outputs go; without it they go to a buffer of the mini-batch.
    regularization : Regularization, optional
        A step of training has it; other passes do not.
    """

    def __init__(
        self,
        network,
        params,
        source,
        *,
        n_threads,
        backward=False,
        to_input=False,
        out=None,
        regularization=None,
    ):
        self.network, self.params, self.layers = network, params, network.layers
        self.source, self.rows, self.out = source, source.rows, out
        self.precision, self.n_threads = params.dtype.name, n_threads
        self.regularization = regularization
        no_dropout = (0.0,) * len(network.layers)
        self.masks = Masks((regularization and regularization.dropout) or no_dropout)
        # Steps are short; passes over all the data are not.
        self.in_parts = regularization is not None and sums_in_parts(network, source.X, self.rows)
        if self.in_parts:
            self.row_block = even_block(self.rows, self.rows // PART_ROWS)
            n_parts = -(-self.rows // self.row_block)
            self.parts = np.zeros(n_parts * len(params), params.dtype)  # (parts * n_params,)
        else:
            self.row_block = even_block(self.rows, -(-self.rows // ROW_BLOCK), n_threads)
            self.parts = None
        self.plan = Plan()
        self.buffers = Buffers(
            network, self.rows, params.dtype, self.masks.rates, backward=backward, out=out
        )
        self.packed = PackedWeights(
            self.layers, params, source, backward=backward, to_input=to_input
        )
        # Predictions are those of the folded network.
        self.normalization = Normalization(self) if network.batch_norm else None

    def add_begin(self):
        """In a chain of one task: what the gathering of a mini-batch needs first."""
        self.source.add_begin(self.plan)

    def add_forward(self):
        """In a chain over rows: the data and every layer up to the raw predictions."""
        regularization = self.regularization
        augmentation = None if regularization is None else regularization.augmentation
        self.source.add_gather(self.plan, self.row_block, self.masks, augmentation)
        *hidden, last = range(len(self.layers))
        for i in hidden:
            if self.normalization is None:
                self._add_product(i, self.buffers.kept_for_gradient[i])
            else:
                self._add_product(i, self.normalization.normalized[i])
                self.normalization.add_forward(i)
            self._add_activation(i)
        self._add_product(last, self.buffers.activations[last], moves=self.out is not None)

    def _add_product(self, i, target, *, moves=False):
        """The inputs of layer i times its weights; a target that moves has all rows of the data."""
        layer, packed = self.layers[i], self.packed.forward[i]
        bias, weights = self.params[layer.bias_offset :], self.params[layer.weight_offset :]
        if i == 0 and self.source.is_sparse:
            self.plan.add(
                catalog.csr_matmul_unit(self.precision), **self.source.csr, weights_at=weights,
                c_at=target, c_moving=moves, ld=self.buffers.strides[0], bias_at=bias,
                n=layer.n_out, block=self.row_block,
            )  # fmt: skip
            return
        self.plan.add(
            catalog.multiply_rows_unit(), **catalog.factors(self.precision),
            **self._left_factor(i), a_moves=self._moves(i),
            b_at=weights if packed is None else packed, b_stride=layer.n_out,
            packed=packed is not None, c_at=target, c_stride=self.buffers.strides[i],
            c_moves=moves, bias_at=bias, init=units.BIAS, n=layer.n_out, k=layer.n_in,
            block=self.row_block,
        )  # fmt: skip

    def begin_rows_group(self):
        self.plan.group()
        self.plan.chain(row_block=self.row_block)

    def _add_activation(self, i):
        """The activation of hidden layer i, and its dropout."""
        activation = ACTIVATIONS[self.network.activations[i]]
        source, target = self.buffers.kept_for_gradient[i], self.buffers.activations[i]
        is_dropped = self.masks.rates[i + 1] > 0
        if activation.name != "identity":
            # Dropout must not overwrite an output that the gradient needs.
            to_keep = is_dropped and activation.gradient_of == "output"
            learned = {} if activation.learned is None else {"slope_at": self._slope(i)}
            self.plan.add(
                catalog.activate_unit(self.precision, activation.name), z_at=source,
                a_at=source if to_keep else target, ld=self.buffers.strides[i],
                block=self.row_block, **learned,
            )  # fmt: skip
            source = source if to_keep else target
        if is_dropped:
            self._add_dropout(i + 1, source, target)

    def _add_dropout(self, layer, source, target):
        """Leave units of a layer out of a matrix (rows, stride); layer 0 is the input."""
        n = self.network.layer_units[layer]
        self.masks.add(self.plan, layer, source, target, n, self.row_block)

    def _slope(self, i):
        """Where the parameter of hidden layer i's activation lies."""
        return self.params[self.layers[i].slope_offset :]

    def _left_factor(self, i):
        """The input of layer i as the left factor of a product."""
        if i == 0:
            return {"a_at": self.source.matrix, "a_stride": self.source.stride}
        return {"a_at": self.buffers.activations[i - 1], "a_stride": self.buffers.strides[i - 1]}

    def _moves(self, i):
        """Whether the input of layer i has all rows of the data, and not the mini-batch's own."""
        return i == 0 and self.source.in_place

    def add_rows_group(self, y, weights, gradient):
        """The whole group "rows" of a pass that trains: forward, losses, backward.

        Batch normalisation makes several groups of it, which write its parameters' gradients.

        Parameters
        ----------
        y : ndarray of shape (n, n_targets)
        weights : dict
            Arguments of `weigh` that say where the rows' weights are; empty where each is 1.
        gradient : ndarray of shape (n_params,)
        """
        self.begin_rows_group()
        self.add_forward()
        self.add_output(y)
        if weights:
            self.plan.add(
                catalog.weigh_unit(self.precision), **weights, delta_at=self.buffers.deltas[-1],
                n=self.buffers.strides[-1], row_loss_at=self.row_loss, block=self.row_block,
            )  # fmt: skip
        self.add_backward(gradient)

    @property
    def row_loss(self):
        """The losses of the mini-batch's rows, (rows,)."""
        return self.buffers.row_loss

    @property
    def outputs_of_mean(self):
        """Outputs that a row's loss is the mean of; 1 where it is their sum."""
        is_mean = LOSSES[self.network.loss].mean_over_outputs
        return self.network.layer_units[-1] if is_mean else 1

    def add_output(self, y):
        """In a chain over rows: targets, the rows' losses, and the last layer's delta."""
        targets = np.zeros((self.rows, y.shape[1]), self.params.dtype)  # (rows, n_targets)
        buffers = self.buffers
        inputs.add_gather(self.plan, y, targets, self.row_block)
        self.plan.add(
            catalog.output_unit(self.precision, self.network.loss),
            z_at=buffers.activations[-1], y_at=targets, n_targets=y.shape[1],
            delta_at=buffers.deltas[-1], n=buffers.strides[-1],
            parameter_at=np.array([self.network.loss_parameter]), row_loss_at=buffers.row_loss,
            block=self.row_block,
        )  # fmt: skip

    def add_backward(self, gradient=None):
        """In a chain over rows: the deltas of the hidden layers, from the last to the first.

        With batch normalisation, the gradients of its parameters go to ``gradient`` (n_params,).
        """
        deltas = self.buffers.deltas
        for i in range(len(self.layers) - 1, 0, -1):
            self.add_delta(i, deltas[i - 1])
            if self.masks.rates[i] > 0:
                self._add_dropout(i, deltas[i - 1], deltas[i - 1])
            if self.network.activations[i - 1] != "identity":
                self._add_activation_backward(i - 1)
            if self.normalization is not None:
                self.normalization.add_backward(i - 1, gradient)

    def add_delta(self, i, target, *, moves=False):
        """In a chain over rows: from the delta of layer i to that of its input."""
        layer = self.layers[i]
        self.plan.add(
            catalog.multiply_rows_unit(), **catalog.factors(self.precision),
            a_at=self.buffers.deltas[i], a_stride=self.buffers.strides[i], a_moves=False,
            b_at=self.packed.transposed[i], b_stride=layer.n_in, packed=True,
            c_at=target, c_stride=target.shape[1], c_moves=moves, bias_at=None, init=units.ZERO,
            n=layer.n_in, k=layer.n_out, block=self.row_block,
        )  # fmt: skip

    def _add_activation_backward(self, i):
        activation, delta = ACTIVATIONS[self.network.activations[i]], self.buffers.deltas[i]
        learned = {}
        if activation.learned is not None:
            learned = {
                "slope_at": self._slope(i), "terms_at": np.zeros_like(delta),
                "row_sums_at": self.buffers.row_sums[i],
            }  # fmt: skip
        self.plan.add(
            catalog.backward_unit(self.precision, activation.name),
            kept_at=self.buffers.kept_for_gradient[i], delta_at=delta,
            ld=self.buffers.strides[i], block=self.row_block, **learned,
        )  # fmt: skip

    def add_slope_gradient(self, i, gradient, init):
        """In a chain of one task: the gradient of the parameter of layer i's activation."""
        self.plan.add(
            catalog.sum_rows_unit(self.precision), row_sums_at=self.buffers.row_sums[i],
            target_at=gradient[self.layers[i].slope_offset :], init=init,
        )  # fmt: skip

    def parameter_block(self, layer):
        """Rows of a layer's weight matrix in a task: whole segments.

        They are enough to be worth a task, but leave enough tasks to be shared out evenly.
        """
        segment = units.SEGMENT
        fitting = round(max(PARAMETER_ROWS, PARAMETER_BLOCK / layer.n_out) / segment)
        shared = -(-layer.n_in // (segment * (1 if self.n_threads == 1 else 2 * self.n_threads)))
        return segment * max(1, min(fitting, shared))

    def add_weight_gradient(self, i, gradient, init):
        """In a chain over rows of a weight matrix: their gradient."""
        layer, block = self.layers[i], self.parameter_block(self.layers[i])
        target = gradient[layer.weight_offset :]
        if i == 0 and self.source.is_sparse:
            self.plan.add(
                catalog.csr_gradient_unit(self.precision),
                **self.source.csr, delta_at=self.buffers.deltas[0], ld=self.buffers.strides[0],
                gradient_at=target, n=layer.n_out, n_features=layer.n_in, init=init, block=block,
            )  # fmt: skip
            return
        self.plan.add(
            catalog.weight_gradient_unit(), **catalog.factors(self.precision),
            **self._left_factor(i), a_moves=self._moves(i), **self._right_factor(i),
            gradient_at=target, init=init, m=layer.n_in, block=block,
        )  # fmt: skip

    def _right_factor(self, i):
        """The delta of layer i as the right factor of a gradient."""
        return {
            "delta_at": self.buffers.deltas[i],
            "delta_stride": self.buffers.strides[i],
            "n": self.layers[i].n_out,
        }

    def _ones(self):
        """The left factor of a bias's gradient: a column of ones, each of which is the same one."""
        return {"a_at": np.ones(1, self.params.dtype), "a_stride": 0}

    def add_bias_gradient(self, i, gradient, init):
        """In a chain of one task: the gradient of a layer's biases."""
        self.plan.add(
            catalog.weight_gradient_unit(), **catalog.factors(self.precision),
            **self._ones(), a_moves=False, **self._right_factor(i),
            gradient_at=gradient[self.layers[i].bias_offset :], init=init, m=1, block=1,
        )  # fmt: skip

    def add_part_gradients(self):
        """In a chain over rows of the mini-batch: what these add to every gradient."""
        for i, layer in enumerate(self.layers):
            weights_and_biases = (
                (self._left_factor(i), layer.n_in, layer.weight_offset),
                (self._ones(), 1, layer.bias_offset),
            )
            for left_factor, m, offset in weights_and_biases:
                self.plan.add(
                    catalog.part_gradient_unit(), **catalog.factors(self.precision),
                    **left_factor, **self._right_factor(i), parts_at=self.parts[offset:],
                    n_params=len(self.params), m=m, block=self.row_block,
                )  # fmt: skip

    def add_sum_parts(self, gradient, offset, size, block):
        """In a chain over some parameters: their gradient, from its parts."""
        self.plan.add(
            catalog.sum_parts_unit(self.precision),
            parts_at=self.parts, n_params=len(self.params), rows_block=self.row_block,
            gradient_at=gradient, offset=offset, size=size, block=block,
        )  # fmt: skip

    def add_pack(self, i, plan):
        """In a chain over rows of a weight matrix: pack them for the passes to come."""
        self.packed.add(plan, i, self.parameter_block(self.layers[i]))

    def parameter_tasks(self, layer):
        return -(-layer.n_in // self.parameter_block(layer))

    def preparation(self):
        """A plan of one group that packs the weights as they are now."""
        plan = Plan()
        plan.group()
        for i, layer in enumerate(self.layers):
            plan.chain(tasks=self.parameter_tasks(layer))
            self.add_pack(i, plan)
        return plan.compile()

    def pace(self):
        """A `Pace`, which runs the plan."""
        work = flops(self.network.layer_units, self.rows, backward=self.buffers.deltas is not None)
        return Pace(self.plan, work, self.n_threads)
