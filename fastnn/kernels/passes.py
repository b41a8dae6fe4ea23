"""The way through the network that every plan of the CPU backend shares.

In group "rows" a task takes some rows of the mini-batch from the data to the deltas of every
layer; in group "parameters" a task takes some rows of a weight matrix through its gradient,
its update and its packing for the next step. `Pass` owns the buffers and adds the units.
"""

from itertools import pairwise

import numpy as np
from scipy import sparse

from fastnn.kernels import catalog, matmul, units
from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.augmentation import Augmentation
from fastnn.kernels.losses import LOSSES
from fastnn.kernels.normalization import Normalization
from fastnn.kernels.optimizers import STEPS
from fastnn.kernels.pace import Pace
from fastnn.kernels.plan import Late, Plan

# A weight matrix is packed for the forward pass where it no longer fits the second-level cache.
PACK_BYTES = 1 << 20
# Rows of a task at most: enough to use a panel of weights many times.
ROW_BLOCK = 104
# Rows of the register tile, or a multiple of them.
TILE_ROWS = 8
# Of a task of the group "parameters": rows of the weight matrix, for each of which all deltas are
# read; and elements of a narrow one, about.
PARAMETER_ROWS = 96
PARAMETER_BLOCK = 8192
# Elements of the activation buffers of a full-batch pass or a prediction.
CHUNK_ELEMENTS = 1 << 20
# A mini-batch in parts: rows of a part, about; parts at most; and how many activations, inputs and
# outputs included, there must be for each parameter.
PART_ROWS = 96
MOST_PARTS = 16
EXCHANGE_RATIO = 3


def padded(width, itemsize):
    """The stride of a buffer's rows: whole vectors, and no power of two, which cache sets hate."""
    stride = -(-width // 16) * 16
    return stride + 16 if stride * itemsize % 1024 == 0 else stride


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

    Then threads exchange gradients instead of activations, which pays where those are fewer.
    It changes roundings, so it depends only on shapes.
    """
    exchanged = rows * sum(network.layer_units) // EXCHANGE_RATIO
    return (
        not sparse.issparse(X)
        and 2 * PART_ROWS <= rows <= MOST_PARTS * PART_ROWS
        and (network.n_params <= exchanged)
    )


def even_block(rows, n_blocks, n_threads=1):
    """Rows of a block, whole tiles, for at least so many blocks and as many for each thread."""
    n_blocks = -(-n_blocks // n_threads) * n_threads
    return -(-rows // (n_blocks * TILE_ROWS)) * TILE_ROWS


def cast(data, dtype):
    """The data with single targets in the network's precision, and weights in float64.

    The targets are gathered with X's own unit then, one less to compile; wide ones are left to be
    cast mini-batch by mini-batch. Weights may be of any size until they are divided by their sum.
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
    X : ndarray or CSR matrix of shape (n, n_features)
    rows : int
        Rows of the largest mini-batch.
    ordered : bool
        Whether the data's rows are used in an order of their own.
    n_threads : int
    backward : bool
        Whether deltas are wanted.
    out : ndarray of shape (n, n_outputs), optional
        Where the outputs go; without it they go to a buffer of the mini-batch.
    kept : bool
        Whether the plan is for many runs with few rows of one X after another: the plan is told
        where each X lies, and reads the weights where they are.
    """

    def __init__(
        self, network, params, X, rows, *, ordered, n_threads, backward, out=None, kept=False,
        regularization=None,
    ):  # fmt: skip
        self.network, self.params, self.X, self.out = network, params, X, out
        self.rows, self.kept = rows, kept
        self.precision = params.dtype.name
        self.n_threads = n_threads
        # Of the input and of each hidden layer.
        no_dropout = (0.0,) * len(network.layers)
        self.regularization = regularization
        self.dropout = (regularization and regularization.dropout) or no_dropout
        # Steps are short; passes over all the data are not.
        is_step = backward and regularization is not None
        self.in_parts = is_step and ordered and sums_in_parts(network, X, rows)
        if self.in_parts:
            self.row_block = even_block(rows, rows // PART_ROWS)
        else:
            self.row_block = even_block(rows, -(-rows // ROW_BLOCK), n_threads)
        # Of the masks of these, and of augmentation.
        self.keys = np.zeros(len(self.dropout) + 1, np.int64)  # (hidden layers + 2,)
        self.plan = Plan()
        self.layers = network.layers
        itemsize = params.itemsize
        *hidden, last = network.layer_units[1:]
        self.strides = [padded(n, itemsize) for n in hidden] + [last]
        # Activations (rows, stride) of each layer, and their deltas.
        self.activations = [np.zeros((rows, stride), params.dtype) for stride in self.strides]
        if out is not None:
            self.activations[-1] = out
        self.deltas = [np.zeros_like(a) for a in self.activations] if backward else None
        self.kept_for_gradient = [
            np.zeros_like(self.activations[i]) if backward and self._keeps(i) else
            self.activations[i] for i in range(len(hidden))
        ]  # fmt: skip
        # Predictions are those of the folded network.
        self.normalization = Normalization(self) if network.batch_norm else None
        self._set_input(ordered)
        self._pack_arrays(backward)

    def _keeps(self, i):
        """Whether the gradient of hidden layer i's activation needs what is not its output."""
        activation = ACTIVATIONS[self.network.activations[i]]
        is_dropped = self.dropout[i + 1] > 0 and activation.name != "identity"
        return activation.gradient_of == "input" or is_dropped

    def _set_input(self, ordered):
        """Decide what the first layer reads: the data itself, a gathered copy, or its CSR."""
        X, params = self.X, self.params
        self.is_sparse = sparse.issparse(X)
        if self.is_sparse:
            sizes = np.diff(X.indptr)
            largest = np.partition(sizes, len(sizes) - self.rows)[len(sizes) - self.rows :]
            capacity = int(largest.sum(dtype=np.int64))
            self.csr_start = np.zeros(self.rows + 1, np.int64)  # (rows + 1,)
            self.csr_indices = np.zeros(capacity, np.int64)  # (nnz,)
            self.csr_values = np.zeros(capacity, params.dtype)  # (nnz,)
            return
        row_bytes, column_bytes = X.strides
        self.in_place = (
            not ordered
            and not self.kept
            and params.dtype == X.dtype
            and column_bytes == X.itemsize
            and row_bytes % X.itemsize == 0
        )
        if self.in_place:
            self.input, self.input_stride = X, row_bytes // X.itemsize
        else:
            self.input_stride = padded(X.shape[1], params.itemsize)
            shape = (self.rows, self.input_stride)
            self.input = np.zeros(shape, params.dtype)  # (rows, input_stride)

    def _pack_arrays(self, backward):
        """Room for the packed weights: forward where large, transposed for the deltas."""
        precision, params = self.precision, self.params
        self.packed = []
        self.packed_transposed = []
        for i, layer in enumerate(self.layers):
            size = layer.n_in * layer.n_out
            wanted = size * params.itemsize > PACK_BYTES and not (i == 0 and self.is_sparse)
            wanted = wanted and not self.kept
            forward = matmul.packed_size(layer.n_in, layer.n_out, precision) if wanted else 0
            back = matmul.packed_size(layer.n_out, layer.n_in, precision) if backward and i else 0
            self.packed.append(np.zeros(forward, params.dtype) if forward else None)
            self.packed_transposed.append(np.zeros(back, params.dtype) if back else None)

    def add_begin(self):
        """In a chain of one task: what the gathering of a sparse mini-batch needs first."""
        if self.is_sparse:
            unit = catalog.csr_starts_unit(self.precision, self.X.indptr.dtype)
            self.plan.add(unit, indptr_at=self.X.indptr, target_at=self.csr_start)

    def add_forward(self):
        """In a chain over rows: the data and every layer up to the raw predictions."""
        precision, plan, block = self.precision, self.plan, self.row_block
        self._add_gather()
        for i, layer in enumerate(self.layers):
            bias = self.params[layer.bias_offset :]
            weights = self.params[layer.weight_offset :]
            last = i == len(self.layers) - 1
            z = self.activations[i] if last else self.kept_for_gradient[i]
            if self.normalization is not None and not last:
                z = self.normalization.normalized[i]
            if i == 0 and self.is_sparse:
                plan.add(
                    catalog.csr_matmul_unit(precision),
                    start_at=self.csr_start, indices_at=self.csr_indices,
                    values_at=self.csr_values, weights_at=weights, c_at=z,
                    c_moving=last and self.out is not None, ld=self.strides[0], bias_at=bias,
                    n=layer.n_out, block=block,
                )  # fmt: skip
            else:
                packed = self.packed[i] is not None
                plan.add(
                    catalog.multiply_rows_unit(), **catalog.factors(precision),
                    **self._left_factor(i), a_moves=self._moves(i),
                    b_at=self.packed[i] if packed else weights, b_stride=layer.n_out,
                    packed=packed, c_at=z, c_stride=self.strides[i],
                    c_moves=last and self.out is not None, bias_at=bias, init=units.BIAS,
                    n=layer.n_out, k=layer.n_in, block=block,
                )  # fmt: skip
            if not last:
                if self.normalization is not None:
                    self.normalization.add_forward(i)
                self._add_activation(i)

    def begin_rows_group(self):
        self.plan.group()
        self.plan.chain(row_block=self.row_block)

    def _add_activation(self, i):
        """The activation of hidden layer i, and its dropout."""
        activation = ACTIVATIONS[self.network.activations[i]]
        source, target = self.kept_for_gradient[i], self.activations[i]
        is_dropped = self.dropout[i + 1] > 0
        if activation.name != "identity":
            # What the gradient needs is kept from dropout.
            to_keep = is_dropped and activation.gradient_of == "output"
            learned = {} if activation.learned is None else {"slope_at": self._slope(i)}
            self.plan.add(
                catalog.activate_unit(self.precision, activation.name), z_at=source,
                a_at=source if to_keep else target, ld=self.strides[i], block=self.row_block,
                **learned,
            )  # fmt: skip
            source = source if to_keep else target
        if is_dropped:
            n = self.layers[i].n_out
            self._add_dropout(i + 1, source, target, self.strides[i], n)

    def _slope(self, i):
        """Where the parameter of hidden layer i's activation lies."""
        return self.params[self.layers[i].slope_offset :]

    def _add_dropout(self, layer, source, target, stride, n):
        """Leave units out of a matrix (rows, stride) of n columns; layer 0 is the input."""
        self.plan.add(
            catalog.dropout_unit(self.precision), source_at=source, target_at=target, ld=stride,
            n=n, **self._mask(layer), block=self.row_block,
        )  # fmt: skip

    def _mask(self, layer):
        rate = self.dropout[layer]
        return {
            "keys_at": self.keys, "layer": layer, "threshold": round(rate * 2**32),
            "scale_at": np.array([1.0 / (1.0 - rate)]),
        }  # fmt: skip

    def add_begin_random(self, state, seed):
        """In a chain of one task: the keys of the step's random decisions."""
        self.plan.add(
            catalog.begin_random_unit(), steps_at=state[STEPS:], seed=seed,
            n_layers=len(self.dropout), keys_at=self.keys,
        )  # fmt: skip

    def _add_gather(self):
        precision, X, block = self.precision, self.X, self.row_block
        if self.is_sparse:
            self.plan.add(
                catalog.gather_csr_unit(precision, X.data.dtype, X.indices.dtype),
                indptr_at=X.indptr, indices_at=X.indices, values_at=X.data,
                target_start_at=self.csr_start, target_indices_at=self.csr_indices,
                target_values_at=self.csr_values, block=block,
            )  # fmt: skip
            if self.dropout[0] > 0:
                self.plan.add(
                    catalog.dropout_csr_unit(self.precision), start_at=self.csr_start,
                    indices_at=self.csr_indices, values_at=self.csr_values, n=X.shape[1],
                    **self._mask(0), block=block,
                )  # fmt: skip
        elif not self.in_place:
            self.add_gather(X, self.input, self.input_stride)
            if self.regularization is not None and self.regularization.augmentation is not None:
                augmentation = Augmentation(self.regularization.augmentation, self.params.dtype)
                key = self.keys[-1:]
                augmentation.add(self.plan, self.input, self.input_stride, key, block)
            if self.dropout[0] > 0:
                self._add_dropout(0, self.input, self.input, self.input_stride, X.shape[1])

    def add_gather(self, source, target, stride):
        """In a chain over rows: the mini-batch's rows of ``source``, cast."""
        place = {
            "source_at": source, "row_stride": source.strides[0], "column_stride": source.strides[1]
        }  # fmt: skip
        self.plan.add(
            catalog.gather_unit(self.precision, source.dtype),
            **({name: Late(name) for name in place} if self.kept else place),
            itemsize=source.itemsize, target_at=target, ld=stride, n_columns=source.shape[1],
            block=self.row_block,
        )  # fmt: skip

    def _left_factor(self, i):
        """The input of layer i as the left factor of a product."""
        if i == 0:
            return {"a_at": self.input, "a_stride": self.input_stride}
        return {"a_at": self.activations[i - 1], "a_stride": self.strides[i - 1]}

    def _moves(self, i):
        """Whether the input of layer i has all rows of the data, and not the mini-batch's own."""
        return i == 0 and self.in_place

    def add_rows_group(self, y, weights, gradient):
        """The whole group "rows" of a pass that trains: forward, losses, backward.

        With batch normalisation there are more, and they write the gradients of its parameters.

        Parameters
        ----------
        y : ndarray of shape (n, n_targets)
        weights : dict
            What `weigh` takes of the rows' weights; empty where each is 1.
        gradient : ndarray of shape (n_params,)
        """
        self.gradient = gradient
        self.begin_rows_group()
        self.add_forward()
        self.add_output(y)
        if weights:
            self.plan.add(
                catalog.weigh_unit(self.precision), **weights, delta_at=self.deltas[-1],
                n=self.strides[-1], row_loss_at=self.row_loss, block=self.row_block,
            )  # fmt: skip
        self.add_backward()

    @property
    def outputs_of_mean(self):
        """Outputs that a row's loss is the mean of; 1 where it is their sum."""
        is_mean = LOSSES[self.network.loss].mean_over_outputs
        return self.network.layer_units[-1] if is_mean else 1

    def add_output(self, y):
        """In a chain over rows: targets, the rows' losses, and the last layer's delta."""
        targets = np.zeros((self.rows, y.shape[1]), self.params.dtype)  # (rows, n_targets)
        self.row_loss = np.zeros(self.rows)  # (rows,)
        self.add_gather(y, targets, y.shape[1])
        self.plan.add(
            catalog.output_unit(self.precision, self.network.loss),
            z_at=self.activations[-1], y_at=targets, n_targets=y.shape[1],
            delta_at=self.deltas[-1], n=self.strides[-1],
            parameter_at=np.array([self.network.loss_parameter]), row_loss_at=self.row_loss,
            block=self.row_block,
        )  # fmt: skip

    def add_backward(self):
        """In a chain over rows: the deltas of the hidden layers, from the last to the first."""
        self.row_sums = {}
        for i in range(len(self.layers) - 1, 0, -1):
            activation = self.network.activations[i - 1]
            layer = self.layers[i]
            self.add_delta(i, self.deltas[i - 1], self.strides[i - 1])
            if self.dropout[i] > 0:
                delta = self.deltas[i - 1]
                self._add_dropout(i, delta, delta, self.strides[i - 1], layer.n_in)
            if activation != "identity":
                self._add_activation_backward(i - 1)
            if self.normalization is not None:
                self.normalization.add_backward(i - 1)

    def add_delta(self, i, target, stride, *, moves=False):
        """In a chain over rows: from the delta of layer i to that of its input."""
        layer = self.layers[i]
        self.plan.add(
            catalog.multiply_rows_unit(), **catalog.factors(self.precision),
            a_at=self.deltas[i], a_stride=self.strides[i], a_moves=False,
            b_at=self.packed_transposed[i], b_stride=0, packed=True,
            c_at=target, c_stride=stride, c_moves=moves, bias_at=None, init=units.ZERO,
            n=layer.n_in, k=layer.n_out, block=self.row_block,
        )  # fmt: skip

    def _add_activation_backward(self, i):
        activation = ACTIVATIONS[self.network.activations[i]]
        learned = {}
        if activation.learned is not None:
            self.row_sums[i] = np.zeros(self.rows)  # (rows,)
            learned = {
                "slope_at": self._slope(i), "terms_at": np.zeros_like(self.deltas[i]),
                "row_sums_at": self.row_sums[i],
            }  # fmt: skip
        self.plan.add(
            catalog.backward_unit(self.precision, activation.name),
            kept_at=self.kept_for_gradient[i], delta_at=self.deltas[i], ld=self.strides[i],
            block=self.row_block, **learned,
        )  # fmt: skip

    def add_slope_gradient(self, i, gradient, init):
        """In a chain of one task: the gradient of the parameter of layer i's activation."""
        self.plan.add(
            catalog.sum_rows_unit(self.precision), row_sums_at=self.row_sums[i],
            target_at=gradient[self.layers[i].slope_offset :], init=init,
        )  # fmt: skip

    def parameter_block(self, layer):
        """Rows of a layer's weight matrix in a task: whole segments.

        Enough to be worth a task, but tasks enough to share out evenly.
        """
        segment = units.SEGMENT
        fitting = round(max(PARAMETER_ROWS, PARAMETER_BLOCK / layer.n_out) / segment)
        shared = -(-layer.n_in // (segment * (1 if self.n_threads == 1 else 2 * self.n_threads)))
        return segment * max(1, min(fitting, shared))

    def add_weight_gradient(self, i, gradient, init):
        """In a chain over rows of a weight matrix: their gradient."""
        layer, block = self.layers[i], self.parameter_block(self.layers[i])
        target = gradient[layer.weight_offset :]
        if i == 0 and self.is_sparse:
            self.plan.add(
                catalog.csr_gradient_unit(self.precision),
                start_at=self.csr_start, indices_at=self.csr_indices, values_at=self.csr_values,
                delta_at=self.deltas[0], ld=self.strides[0], gradient_at=target,
                n=layer.n_out, n_features=layer.n_in, init=init, block=block,
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
            "delta_at": self.deltas[i],
            "delta_stride": self.strides[i],
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
        """In a chain over rows of the mini-batch: their part of every gradient."""
        n_parts = -(-self.rows // self.row_block)
        self.parts = np.zeros(n_parts * len(self.params), self.params.dtype)  # (parts * n_params,)
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
        layer = self.layers[i]
        shared = {
            "source_at": self.params[layer.weight_offset :],
            "block": self.parameter_block(layer),
        }
        if self.packed[i] is not None:
            plan.add(
                catalog.pack_unit(self.precision), **shared, k_stride=layer.n_out, column_stride=1,
                packed_at=self.packed[i], k=layer.n_in, n=layer.n_out, along_k=True,
            )  # fmt: skip
        if self.packed_transposed[i] is not None:
            plan.add(
                catalog.pack_unit(self.precision), **shared, k_stride=1, column_stride=layer.n_out,
                packed_at=self.packed_transposed[i], k=layer.n_out, n=layer.n_in, along_k=False,
            )  # fmt: skip

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
        """What runs the plan."""
        work = flops(self.network.layer_units, self.rows, backward=self.deltas is not None)
        return Pace(self.plan, work, self.n_threads)
