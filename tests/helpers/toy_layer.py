"""A kind of layer of one's own in one file: a learned scale for each feature.

CONTRIBUTING.md, "Adding a layer", has it for its example. In the package its two classes would be
two files of one name, network/layers/scale.py and kernels/layers/scale.py, and the entry of
``OPERATIONS`` would be in kernels/layers/kinds.py.
"""

from dataclasses import dataclass

import numpy as np

from fastnn.kernels import catalog
from fastnn.kernels.layers.base import Operations
from fastnn.kernels.layers.kinds import OPERATIONS
from fastnn.kernels.memory import span, view
from fastnn.kernels.units import N_STEP, ROWS, ZERO, rows_of_task
from fastnn.network.layers.base import Block, SameSize

# The kernels bind these anew for each device, and ``real`` for each precision.
real, by_threads, by_warps, by_lanes = float, range, range, range


@dataclass(frozen=True)
class Scale(SameSize):
    """Each of ``n`` features times a scale of its own, which is learned."""

    n: int
    kind = "scale"

    @property
    def blocks(self):
        return (Block("scales", (self.n,), initial=1.0),)


def scale_columns(step, task, source_at, scales_at, target_at, ld, n, block):
    # target (rows, ld) = source (rows, ld), column j times scales[j]. Padding stays.
    first, last = rows_of_task(step, task, block)
    scales = view(scales_at, n, real)  # (n,)
    for r in by_warps(first, last):
        scale_row(
            span(source_at, r * ld, r * ld + n, real),  # (n,)
            scales,
            span(target_at, r * ld, r * ld + n, real),  # (n,)
        )


def scale_row(source, scales, target):
    # target (n,) = source (n,) times scales (n,).
    for j in by_lanes(target.shape[0]):
        target[j] = source[j] * scales[j]


def scale_gradient(step, task, x_at, delta_at, ld, n, gradient_at, init):
    # gradient (n,) = or += sum over the rows, in order, of x (rows, ld) times delta (rows, ld).
    gradient = view(gradient_at, n, real)  # (n,)
    if init == ZERO:
        for j in by_threads(n):
            gradient[j] = real(0)
    for r in range(view(step, N_STEP, np.int64)[ROWS]):
        x = span(x_at, r * ld, r * ld + n, real)  # (n,)
        delta = span(delta_at, r * ld, r * ld + n, real)  # (n,)
        for j in by_threads(n):
            gradient[j] += x[j] * delta[j]


class ScaleOperations(Operations):
    """The operations of a `Scale`."""

    @classmethod
    def reads_again(cls, layer):
        # The gradient is a function of the input, but not of the output.
        return True, False

    def _add_scaling(self, source, target):
        self.common.plan.add(
            catalog.make_unit(scale_columns, self.common.precision), source_at=source.matrix,
            scales_at=self.part(self.common.params, "scales"), target_at=target.matrix,
            ld=target.stride, n=self.layer.n, block=self.common.row_block,
        )  # fmt: skip

    def add_forward(self):
        self._add_scaling(self.room.input, self.room.output)

    def add_backward(self, gradient):
        if self.room.input_delta is not None:
            self._add_scaling(self.room.delta, self.room.input_delta)

    def add_gradient(self, gradient, init):
        self.common.plan.add(
            catalog.make_unit(scale_gradient, self.common.precision),
            x_at=self.room.input.matrix, delta_at=self.room.delta.matrix, ld=self.room.delta.stride,
            n=self.layer.n, gradient_at=self.part(gradient, "scales"), init=init,
        )  # fmt: skip


OPERATIONS["scale"] = ScaleOperations
