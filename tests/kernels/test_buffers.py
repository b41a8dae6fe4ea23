"""The memory that the layers of a network share."""

import numpy as np
import pytest

from fastnn.kernels.buffers import Buffers
from fastnn.kernels.cpu.machine import CpuMachine
from fastnn.kernels.inputs import read
from fastnn.network.multilayer import multilayer_perceptron

ROWS = 6
MACHINE = CpuMachine(1)
DROPOUT = (0.0, 0.5)


def matrices(name, *, backward, batch_norm=False, rates=DROPOUT):
    """The matrices that go from layer to layer, X and the outputs included, as numbers."""
    network = multilayer_perceptron((3, 4, 2), name, "log_loss", batch_norm=batch_norm)
    source = read(MACHINE, network, np.zeros((ROWS, 3)), ROWS, np.dtype(float))
    layers = [layer for layer, _ in network.layers_with_dropout(rates)]
    rooms = Buffers(layers, source, MACHINE, np.dtype(float), backward=backward).rooms
    assert (rooms[0].delta is not None) == backward
    found = [rooms[0].input.matrix, *(room.output.matrix for room in rooms)]
    # Every layer reads what the one before it has written.
    for before, after in zip(rooms[:-1], rooms[1:], strict=True):
        assert before.output is after.input and before.delta is after.input_delta
    return [next(i for i, other in enumerate(found) if other is matrix) for matrix in found]


@pytest.mark.parametrize(
    ("name", "with_dropout", "without"),
    [
        # The way back reads the output of the activation, which dropout must leave alone.
        ("tanh", [0, 1, 1, 3, 4], [0, 1, 1, 3]),
        # It reads the input.
        ("gelu", [0, 1, 2, 2, 4], [0, 1, 2, 3]),
        # It reads neither.
        ("identity", [0, 1, 1, 1, 4], [0, 1, 1, 3]),
    ],
)
def test_layers_share_memory(name, with_dropout, without):
    """They write over their input where nothing needs it, on the way forward alone wherever."""
    assert matrices(name, backward=True) == with_dropout
    assert matrices(name, backward=True, rates=(0.3, 0.0)) == without
    assert matrices(name, backward=False) == [0, 1, 1, 1, 4]


def test_batch_norm_has_a_matrix_of_its_own():
    assert matrices("tanh", backward=True, batch_norm=True) == [0, 1, 2, 2, 4, 5]
