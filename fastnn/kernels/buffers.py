"""The buffers of a pass: the matrices of a mini-batch that layers leave for one another.

A layer writes over its input where it may, so that few matrices go through the cache.
"""

from fastnn.kernels.layers.base import Room, Values
from fastnn.kernels.layers.kinds import OPERATIONS


def padded(width, itemsize):
    """The stride of a buffer's rows: whole vectors, and no power of two, which cache sets hate."""
    stride = -(-width // 16) * 16
    return stride + 16 if stride * itemsize % 1024 == 0 else stride


class Buffers:
    """Matrices for each layer of a network, (rows, stride) each.

    Parameters
    ----------
    layers : sequence of fastnn.network.layers.base.Layer
    source : DenseInput or SparseInput
        What the first layer reads.
    machine : fastnn.kernels.machine.Machine
        Whose memory they are.
    dtype : dtype
    backward : bool
        Whether deltas are wanted.
    out : memory of shape (n, n_outputs), optional
        Where the outputs go; without it they go to a buffer of the mini-batch.
    input_delta : memory of shape (n, n_features), optional
        Where the delta of the input goes, if it is wanted.

    Attributes
    ----------
    rooms : list of Room
        One for each layer.

    Raises
    ------
    ValueError
        If a layer cannot stand where it does.
    """

    def __init__(self, layers, source, machine, dtype, *, backward, out=None, input_delta=None):
        self.rows, self.machine, self.dtype = source.rows, machine, dtype
        self.kinds = [OPERATIONS[layer.kind] for layer in layers]
        values = self._values(layers, source.values, backward, out)
        deltas = [None] * len(values)
        if backward:
            deltas = self._deltas(values, input_delta)
        self.rooms = [
            Room(*of_layer)
            for of_layer in zip(values[:-1], values[1:], deltas[1:], deltas[:-1], strict=True)
        ]

    def _new(self, stride, n):
        matrix = self.machine.zeros((self.rows, stride), self.dtype)  # (rows, stride)
        return Values(matrix, stride, n)

    def _values(self, layers, source, backward, out):
        """The input of each layer, and the output of the last."""
        values = [source]
        # Whether anything reads the last of these again; X belongs to the user.
        is_read = True
        for i, (kind, layer) in enumerate(zip(self.kinds, layers, strict=True)):
            reads_input, reads_output = kind.reads_again(layer) if backward else (False, False)
            if kind.overwrites_input and is_read:
                raise ValueError(f"{layer} would write over what is needed again: its input.")
            if i == len(layers) - 1:
                new = self._outputs(kind, layer, out)
            elif kind.in_place and not (is_read or reads_input):
                new = values[-1]
            else:
                new = self._new(padded(layer.n_out, self.dtype.itemsize), layer.n_out)
            values.append(new)
            is_read = reads_output
        return values

    def _outputs(self, kind, layer, out):
        """Where the last layer writes: the outputs have no padding."""
        if not kind.writes_moving:
            raise ValueError(f"{layer} cannot be the last layer: end with a dense one.")
        n = layer.n_out
        return self._new(n, n) if out is None else Values(out, n, n, moves=True)

    def _deltas(self, values, input_delta):
        """The gradients with respect to these values; that of the network's input may be None."""
        outputs = values[-1]
        deltas = [self._new(outputs.stride, outputs.n)]
        for kind, of_input in zip(self.kinds[:0:-1], values[-2:0:-1], strict=True):
            in_place = kind.delta_in_place
            deltas.append(deltas[-1] if in_place else self._new(of_input.stride, of_input.n))
        deltas.append(self._delta_of_input(input_delta))
        return deltas[::-1]

    def _delta_of_input(self, input_delta):
        if input_delta is None:
            return None
        if not self.kinds[0].writes_moving:
            raise ValueError(
                "There is no gradient with respect to the input of such a network: its first layer "
                "would have to be a dense one."
            )
        n = input_delta.shape[1]
        return Values(input_delta, n, n, moves=True)
