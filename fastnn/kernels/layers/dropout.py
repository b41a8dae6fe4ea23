"""Dropout of hidden layers: its operations, by the masks of the pass."""

from fastnn.kernels.layers.base import Operations


class DropoutOperations(Operations):
    """The operations of a `fastnn.network.layers.dropout.Dropout`."""

    in_place = delta_in_place = True

    def _add(self, source, target):
        self.common.masks.add(
            self.common.plan,
            self.layer.number,
            source,
            target,
            self.layer.n,
            self.common.row_block,
        )

    def add_forward(self):
        self._add(self.room.input.matrix, self.room.output.matrix)

    def add_backward(self, gradient):
        self._add(self.room.delta.matrix, self.room.delta.matrix)
