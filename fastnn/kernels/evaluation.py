"""Evaluation of a network on the same data again and again: its outputs, and the rows' losses.

The forward pass is that of predictions, and training's unit computes the losses. Their plans are
made once; every call brings other parameters.
"""

import numpy as np

from fastnn.kernels import catalog
from fastnn.kernels.inputs import read
from fastnn.kernels.losses import LOSSES
from fastnn.kernels.passes import Pass, chunk_rows
from fastnn.kernels.plan import Plan
from fastnn.kernels.prediction import add_forward


class Evaluation:
    """Outputs and losses of data, or its rows in an order; see `fastnn.backends.Backend`."""

    def __init__(self, network, machine, data, dtype, *, order):
        self.network, self.machine, self.order = network, machine, order
        self.params = np.zeros(network.n_params, dtype)  # (n_params,)
        y = data.y if order is None else data.y[order]
        self.n_rows = len(y)
        shape = (self.n_rows, network.n_outputs)
        self.raw, self.outputs = np.zeros(shape, dtype), np.zeros(shape, dtype)  # (n, n_outputs)
        self.row_loss = np.zeros(self.n_rows)  # (n,)
        self.chunk = min(self.n_rows, chunk_rows(network))
        is_ordered = order is not None
        source = read(machine, network, data.X, self.chunk, self.params.dtype, ordered=is_ordered)
        params, raw = machine.mirror(self.params), machine.mirror(self.raw)
        pass_ = Pass(network, machine, params, source, out=raw)
        add_forward(pass_, link=False)
        self.preparation, self.pace = pass_.preparation(), pass_.pace()
        self.losses = self._plan_losses(np.ascontiguousarray(y, dtype=dtype))

    def _plan_losses(self, targets):
        """The losses and the output activation of all rows, as one mini-batch."""
        network, plan, precision = self.network, Plan(self.machine), self.params.dtype.name
        n_outputs = network.n_outputs
        plan.group()
        plan.chain(row_block=self.chunk)
        if network.out_activation != "identity":
            plan.add(
                catalog.link_unit(precision, network.out_activation),
                z_at=self.outputs,
                n=n_outputs,
                moving=False,
                block=self.chunk,
            )
        plan.add(
            catalog.output_unit(precision, network.loss),
            z_at=self.raw,
            y_at=targets,
            n_targets=targets.shape[1],
            delta_at=self.machine.zeros(self.raw.shape, self.raw.dtype),
            n=n_outputs,
            parameter_at=np.array([network.loss_parameter]),
            row_loss_at=self.row_loss,
            block=self.chunk,
        )
        return self.machine.pace(plan.compile(), self.n_rows * n_outputs)

    def __call__(self, params):
        """Outputs (n, n_outputs), overwritten by the next call, and losses (n,), at ``params``."""
        self.params[...] = params
        machine = self.machine
        machine.push(self.params)
        self.pace.run_once(self.preparation)
        self.pace.run(self.n_rows, self.chunk, self.order)
        # The losses leave something else in the raw predictions.
        machine.pull(self.raw)
        self.outputs[...] = self.raw
        machine.push(self.outputs)
        self.losses.run(self.n_rows, self.n_rows)
        machine.pull(self.outputs, self.row_loss)
        if LOSSES[self.network.loss].mean_over_outputs:
            return self.outputs, self.row_loss / self.outputs.shape[1]
        return self.outputs, self.row_loss.copy()
