"""The way through the network that all plans share.

In group "rows" a task takes some rows of the mini-batch from the data to the deltas of every
layer; in group "parameters" a task takes some rows of a weight matrix through its gradient,
its update and its packing for the next step. A machine may make several groups of either. `Pass`
asks one layer after another for its units.
"""

import numpy as np
from scipy import sparse

from fastnn.kernels import catalog, inputs
from fastnn.kernels.buffers import Buffers
from fastnn.kernels.layers.base import Common
from fastnn.kernels.layers.kinds import OPERATIONS
from fastnn.kernels.losses import LOSSES
from fastnn.kernels.masks import Masks
from fastnn.kernels.plan import Plan, even_block

# CHUNK_ELEMENTS are those of the widest activation in a full-batch pass or a prediction, whose rows
# are a multiple of CHUNK_ROWS.
CHUNK_ELEMENTS = 1 << 20
CHUNK_ROWS = 104
# A mini-batch in parts has about PART_ROWS rows in each and MOST_PARTS of them at most, and at
# least EXCHANGE_RATIO activations, inputs and outputs included, for each parameter.
PART_ROWS = 96
MOST_PARTS = 16
EXCHANGE_RATIO = 3


def flops(network, rows, *, backward=True):
    """Floating point operations of the matrix products of a mini-batch."""
    products = network.products
    forward = 2 * rows * sum(products)
    # The gradient of every layer, and the deltas of all but the first.
    return 3 * forward - 2 * rows * products[0] if backward else forward


def chunk_rows(network):
    """Rows of a block of a pass over all the data, so that its buffers stay in bounds."""
    rows = CHUNK_ELEMENTS // network.widest
    return max(CHUNK_ROWS, min(4096, rows // CHUNK_ROWS * CHUNK_ROWS))


def sums_in_parts(network, X, rows):
    """Whether gradients are summed over parts of the mini-batch first, each by one task.

    Then threads exchange gradients instead of activations, which pays where gradients are fewer.
    It changes roundings, so it depends only on shapes.
    """
    exchanged = rows * network.n_values // EXCHANGE_RATIO
    return (
        not sparse.issparse(X)
        and 2 * PART_ROWS <= rows <= MOST_PARTS * PART_ROWS
        and (network.n_params <= exchanged)
    )


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
    """A pass through the network: its plan, its buffers and the operations of its layers.

    Parameters
    ----------
    network : Network
    machine : fastnn.kernels.machine.Machine
    params : memory of shape (n_params,)
    source : DenseInput or SparseInput
        What the first layer reads; see `fastnn.kernels.inputs.read`.
    backward : bool
        Whether deltas are wanted.
    input_delta : memory of shape (n, n_features), optional
        Where the delta of the input goes, if it is wanted, too.
    out : memory of shape (n, n_outputs), optional
        Where the outputs go; without it they go to a buffer of the mini-batch.
    regularization : Regularization, optional
        A step of training has it; other passes do not.

    Attributes
    ----------
    operations : list of Operations
        Those of each layer, in order; dropout has layers of its own.
    """

    def __init__(
        self,
        network,
        machine,
        params,
        source,
        *,
        backward=False,
        input_delta=None,
        out=None,
        regularization=None,
    ):
        self.network, self.machine, self.params, self.out = network, machine, params, out
        self.source, self.rows, self.backward = source, source.rows, backward
        self.precision = params.dtype.name
        self.regularization = regularization
        no_dropout = (0.0,) * (1 + len(network.activations))
        rates = (regularization and regularization.dropout) or no_dropout
        self.masks = Masks(machine, rates)
        # Steps are short; passes over all the data are not.
        self.in_parts = regularization is not None and sums_in_parts(network, source.X, self.rows)
        part_block = even_block(self.rows, self.rows // PART_ROWS) if self.in_parts else None
        self.row_block = machine.row_block(self.rows, part_block)
        # The losses of the mini-batch's rows, (rows,).
        self.row_loss = machine.zeros(self.rows, np.float64) if backward else None
        # It does not know the operations in turn: a circle of them would keep its memory.
        common = Common(
            params,
            source,
            self.masks,
            regularization,
            machine=machine,
            row_block=self.row_block,
            part_block=part_block,
        )
        self.plan, self.begin_rows_group = common.plan, common.begin_rows_group
        self.operations = self._operations(common, input_delta)

    def _operations(self, common, input_delta):
        """The operations of each layer, dropout's included, with their buffers."""
        layers = self.network.layers_with_dropout(self.masks.rates)
        rooms = Buffers(
            [layer for layer, _ in layers],
            self.source,
            self.machine,
            self.params.dtype,
            backward=self.backward,
            out=self.out,
            input_delta=input_delta,
        ).rooms
        return [
            OPERATIONS[layer.kind](layer, places, room, common)
            for (layer, places), room in zip(layers, rooms, strict=True)
        ]

    @property
    def outputs(self):
        """The raw predictions of the mini-batch, and then their delta: a `Room`."""
        return self.operations[-1].room

    def add_begin(self):
        """In a chain of one task: what the gathering of a mini-batch needs first."""
        self.source.add_begin(self.plan)

    def add_forward(self):
        """In a chain over rows: the data and every layer up to the raw predictions."""
        regularization = self.regularization
        augmentation = None if regularization is None else regularization.augmentation
        self.source.add_gather(self.plan, self.row_block, self.masks, augmentation)
        for operations in self.operations:
            operations.add_forward()

    def add_rows_group(self, y, weights, gradient):
        """The whole group "rows" of a pass that trains: forward, losses, backward.

        Batch normalisation makes several groups of it, which write its parameters' gradients.

        Parameters
        ----------
        y : ndarray of shape (n, n_targets)
        weights : dict
            Arguments of `weigh` that say where the rows' weights are; empty where each is 1.
        gradient : memory of shape (n_params,)
        """
        self.begin_rows_group()
        self.add_forward()
        self.add_output(y)
        if weights:
            delta = self.outputs.delta
            self.plan.add(
                catalog.weigh_unit(self.precision),
                **weights,
                delta_at=delta.matrix,
                n=delta.n,
                row_loss_at=self.row_loss,
                block=self.row_block,
            )
        self.add_backward(gradient)

    @property
    def outputs_of_mean(self):
        """Outputs that a row's loss is the mean of; 1 where it is their sum."""
        return self.network.n_outputs if LOSSES[self.network.loss].mean_over_outputs else 1

    def add_output(self, y):
        """In a chain over rows: targets, the rows' losses, and the last layer's delta."""
        shape = (self.rows, y.shape[1])
        targets = self.machine.zeros(shape, self.params.dtype)  # (rows, n_targets)
        inputs.add_gather(self.plan, y, targets, self.row_block)
        outputs = self.outputs
        self.plan.add(
            catalog.output_unit(self.precision, self.network.loss),
            z_at=outputs.output.matrix,
            y_at=targets,
            n_targets=y.shape[1],
            delta_at=outputs.delta.matrix,
            n=outputs.output.n,
            parameter_at=np.array([self.network.loss_parameter]),
            row_loss_at=self.row_loss,
            block=self.row_block,
        )

    def add_backward(self, gradient=None):
        """In a chain over rows: the deltas of the layers, from the last to the first.

        The gradient of parameters that is found on the way goes to ``gradient`` (n_params,).
        """
        for operations in reversed(self.operations):
            operations.add_backward(gradient)

    def add_part_gradients(self):
        """In a chain over rows of the mini-batch: what these add to every gradient."""
        for operations in self.operations:
            operations.add_part_gradients()

    def parameters(self):
        """The `Parameters` of every layer, in the order in which a step does them."""
        return [part for operations in self.operations for part in operations.parameters()]

    @property
    def is_packed(self):
        """Whether there are weights to be packed before the pass."""
        return any(operations.is_packed for operations in self.operations)

    def preparation(self):
        """A plan of one group that packs the weights as they are now."""
        plan = Plan(self.machine)
        plan.group()
        for operations in self.operations:
            operations.add_preparation(plan)
        return plan.compile()

    def pace(self):
        """What runs the plan; see `fastnn.kernels.machine.Machine`."""
        work = flops(self.network, self.rows, backward=self.backward)
        source = self.source if self.source.is_fed else None
        return self.machine.pace(self.plan, work, source)
