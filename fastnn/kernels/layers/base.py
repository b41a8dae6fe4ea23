"""The base class of a layer's operations, and what they work on: matrices and parameters.

The operations of a layer add units to a plan: the way forward, the way back, and the gradient of
the layer's parameters. `fastnn.kernels.passes.Pass` asks one layer of a network after another for
them. A kind of layer says by attributes of its class what it does to its matrices, and buffers.py
lets layers share memory accordingly.
"""

from typing import NamedTuple

import numpy as np

from fastnn.kernels import catalog
from fastnn.kernels.plan import Plan


class Values(NamedTuple):
    """A matrix (rows, stride) of which n columns count, with a row for each of a mini-batch.

    One that ``moves`` has all the data's rows, and the mini-batch's begin at the step's first row.
    """

    matrix: np.ndarray
    stride: int
    n: int
    moves: bool = False


class Room(NamedTuple):
    """The matrices of a layer in a pass.

    The input is None where the layer reads a sparse X. The delta is the gradient with respect to
    the output, and None in a pass without a way back. So is that of the input, which also is None
    for the first layer, unless it is wanted.
    """

    input: Values | None
    output: Values
    delta: Values | None = None
    input_delta: Values | None = None


class Common:
    """What the operations of all layers of a pass have in common.

    Parameters
    ----------
    params : memory of shape (n_params,)
    source : DenseInput or SparseInput
        What the first layer reads; see `fastnn.kernels.inputs.read`.
    masks : Masks
        Those of dropout.
    regularization : Regularization or None
    machine : fastnn.kernels.machine.Machine
    row_block : int
        Rows of the mini-batch in a task.
    part_block : int or None
        Rows of each part of the mini-batch, where gradients are summed over parts first.

    Attributes
    ----------
    plan : Plan
        What they add their units to.
    precision : {"float32", "float64"}
    rows : int
        Rows of the largest mini-batch.
    parts : memory of shape (parts * n_params,) or None
        The gradients in parts.
    """

    def __init__(self, params, source, masks, regularization, *, machine, row_block, part_block):
        self.params, self.source, self.masks = params, source, masks
        self.regularization, self.machine = regularization, machine
        self.row_block, self.part_block = row_block, part_block
        self.in_parts = part_block is not None
        self.plan, self.precision, self.rows = Plan(machine), params.dtype.name, source.rows
        self.parts = None
        if self.in_parts:
            n_parts = -(-self.rows // part_block)
            self.parts = machine.zeros(n_parts * len(params), params.dtype)

    def zeros(self, shape):
        """Memory of the machine in the network's precision."""
        return self.machine.zeros(shape, self.params.dtype)

    def begin_rows_group(self):
        """Begin a group with a chain over the rows of the mini-batch."""
        self.plan.group()
        self.plan.chain(row_block=self.row_block)

    def add_sum_parts(self, gradient, offset, size, block):
        """In a chain over some parameters: their gradient (n_params,), from its parts."""
        self.plan.add(
            catalog.sum_parts_unit(self.precision),
            parts_at=self.parts,
            n_params=len(self.params),
            rows_block=self.part_block,
            gradient_at=gradient,
            offset=offset,
            size=size,
            block=block,
        )


def part_of(places, vector, name):
    """A block's part of a vector of all parameters, which begins at the block's first."""
    return vector[places[name].offset :]


class Operations:
    """The operations of a layer in a pass; those of a layer without parameters by default.

    Parameters
    ----------
    layer : fastnn.network.layers.base.Layer
    places : dict of fastnn.network.layout.Place
        Where the layer's blocks lie in the flat vector, by their names.
    room : Room
    common : Common
    """

    # Whether the output may be the input's matrix, and whether the layer leaves something else in
    # its input. The matrices of an input and an output that may be one have the same stride.
    in_place = False
    overwrites_input = False
    # Whether the delta becomes that of the input in place.
    delta_in_place = False
    # Whether the layer, where it is the first, reads X where it lies, and a sparse X.
    reads_in_place = False
    reads_sparse = False
    # Whether it can write matrices that move: the outputs of the network, which have no padding
    # either, where it is the last layer, and the delta of the input where it is the first.
    writes_moving = False
    # Whether there are weights to be packed before a pass.
    is_packed = False

    def __init__(self, layer, places, room, common):
        self.layer, self.places, self.room, self.common = layer, places, room, common

    @classmethod
    def reads_again(cls, layer):
        """What the way back reads of the layer's ``(input, output)``, two bools."""
        return False, False

    def part(self, vector, name):
        """A block's part of a vector of all parameters, which begins at the block's first."""
        return part_of(self.places, vector, name)

    # ---- what a layer adds to a plan -----------------------------------------------

    def add_forward(self):
        """In a chain over rows: from the input to the output.

        It may begin other groups, but has to end within a chain over rows.
        """
        raise NotImplementedError

    def add_backward(self, gradient):
        """In a chain over rows: from the delta to that of the input, where there is one.

        The gradient of parameters that is found on the way goes to ``gradient`` (n_params,). It may
        begin other groups, but has to end within a chain over rows.
        """
        raise NotImplementedError

    def add_part_gradients(self):
        """In a chain over rows after the way back: what these rows add to sums in parts."""

    def parameters(self):
        """The layer's `Parameters`, in the order in which a step does them.

        By default blocks of one role that lie side by side are done together, in one task.
        """
        runs = []
        for place in self.places.values():
            last = runs[-1][-1] if runs else None
            if last and last.end == place.offset and last.block.role == place.block.role:
                runs[-1].append(place)
            else:
                runs.append([place])
        return [Parameters(self, run) for run in runs]

    def add_gradient(self, gradient, init):
        """In a chain of one task: the gradient of `Parameters` that are learned.

        It is not needed where `add_backward` has written it. With ``init`` it is written (ZERO) or
        added (ADD) to ``gradient`` (n_params,).
        """

    def add_preparation(self, plan):
        """Chains of a group before the pass, which depend on the parameters alone."""


class Parameters:
    """Some parameters of a layer that lie together, and the tasks that they are done in.

    Parameters
    ----------
    operations : Operations
        Those of the layer.
    places : sequence of fastnn.network.layout.Place
        The blocks, one after another, all of one role.

    Attributes
    ----------
    place : dict
        Where they are in the flat vector, and how many of them each task takes.
    shape : tuple
        Rows and columns of them, and how many rows each task takes.
    tasks : int
    decay, learned : bool
        As the blocks'.
    is_matrix : bool
        Whether they are a matrix, with rows of a task in ``shape``, for which optimizers may have
        steps of orthogonal matrices.
    """

    tasks, is_matrix = 1, False

    def __init__(self, operations, places):
        self.operations = operations
        size = places[-1].end - places[0].offset
        self.place = {"offset": places[0].offset, "size": size, "block": size}
        self.shape = (size, 1, size)
        self.decay, self.learned = places[0].block.decay, places[0].block.learned

    @property
    def gradient_tasks(self):
        """The tasks in which the gradient is made."""
        return self.tasks

    def add_gradient(self, gradient, init):
        """In a chain of ``gradient_tasks``: the gradient, unless the way back has written it."""
        self.operations.add_gradient(gradient, init)

    def add_rest(self, plan):
        """In a chain of these tasks: what follows once the parameters have changed."""
