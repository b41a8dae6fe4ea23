"""The buffers of a pass, in which the layers of a network leave matrices for one another."""

import numpy as np

from fastnn.kernels.activations import ACTIVATIONS


def padded(width, itemsize):
    """The stride of a buffer's rows: whole vectors, and no power of two, which cache sets hate."""
    stride = -(-width // 16) * 16
    return stride + 16 if stride * itemsize % 1024 == 0 else stride


class Buffers:
    """Matrices of a mini-batch, (rows, stride) for each layer, and sums over their rows.

    Parameters
    ----------
    network : Network
    rows : int
        Rows of the largest mini-batch.
    dtype : dtype
    rates : tuple of float
        The dropout of the input and of each hidden layer.
    backward : bool
        Whether deltas are wanted.
    out : ndarray of shape (n, n_outputs), optional
        Where the outputs go; without it they go to a buffer of the mini-batch.

    Attributes
    ----------
    strides : list of int
    activations : list of ndarray
        Outputs of each layer, those of the last layer raw.
    kept_for_gradient : list of ndarray
        For each hidden layer, the input or the output of its activation, whichever the gradient is
        a function of. It is the array in ``activations`` where that can be.
    deltas : list of ndarray, or None
    row_loss : ndarray of shape (rows,), or None
    row_sums : list of ndarray of shape (rows,) or None
        For each hidden layer with an activation that learns, each row's part of its gradient.
    """

    def __init__(self, network, rows, dtype, rates, *, backward, out=None):
        *hidden, last = network.layer_units[1:]
        activations = [ACTIVATIONS[name] for name in network.activations]
        self.strides = [padded(n, dtype.itemsize) for n in hidden] + [last]
        shapes = [(rows, stride) for stride in self.strides]
        self.activations = [np.zeros(shape, dtype) for shape in shapes]  # (rows, stride) each
        self.kept_for_gradient = self.activations[:-1]
        self.deltas, self.row_loss, self.row_sums = None, None, [None] * len(hidden)
        if out is not None:
            self.activations[-1] = out
        if not backward:
            return
        self.deltas = [np.zeros_like(a) for a in self.activations]  # (rows, stride) each
        self.row_loss = np.zeros(rows)  # (rows,)
        for i, (activation, rate) in enumerate(zip(activations, rates[1:], strict=True)):
            # Dropout would overwrite the output that the gradient needs.
            is_dropped = rate > 0 and activation.name != "identity"
            if activation.gradient_of == "input" or is_dropped:
                self.kept_for_gradient[i] = np.zeros(shapes[i], dtype)  # (rows, stride)
            if activation.learned is not None:
                self.row_sums[i] = np.zeros(rows)  # (rows,)
