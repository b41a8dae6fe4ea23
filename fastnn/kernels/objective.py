"""The loss and the gradient of all the data at once, as methods like L-BFGS want them."""

import numpy as np

from fastnn.kernels import catalog, units
from fastnn.kernels.inputs import read
from fastnn.kernels.passes import Pass, cast, chunk_rows


class Objective:
    """Loss and gradient of all the data, in blocks of rows; see `fastnn.backends.Backend`."""

    def __init__(self, network, machine, data, *, alpha, dtype, order=None):
        self.network, self.machine, self.alpha = network, machine, alpha
        self.params = np.zeros(network.n_params, dtype)  # (n_params,)
        self.gradient = np.zeros_like(self.params)  # (n_params,)
        data = cast(data, dtype)
        self._keep = data
        self.order = order
        self.n_rows = data.X.shape[0] if order is None else len(order)
        weights = self._weigh(data.sample_weight)
        self.rows = min(self.n_rows, chunk_rows(network))
        is_ordered = order is not None
        source = read(machine, network, data.X, self.rows, self.params.dtype, ordered=is_ordered)
        gradient = machine.mirror(self.gradient)
        pass_ = Pass(network, machine, machine.mirror(self.params), source, backward=True)
        self.scalars = np.zeros(units.N_SCALARS)  # (5,)
        self.plan = pass_.plan
        self.plan.group()
        self.plan.chain(tasks=1)
        pass_.add_begin()
        pass_.add_rows_group(data.y, weights, gradient)
        self.plan.group()
        for parameters in pass_.parameters():
            self.plan.chain(tasks=parameters.gradient_tasks)
            parameters.add_gradient(gradient, units.ADD)
        self.plan.chain(tasks=1)
        self.plan.add(
            catalog.add_loss_unit(),
            row_loss_at=pass_.row_loss,
            scalars_at=self.scalars,
            outputs=pass_.outputs_of_mean,
        )
        self.plan.compile()
        self.preparation = pass_.preparation()
        self.pace = pass_.pace()

    def _weigh(self, sample_weight):
        """Set the weight of all rows, and the penalty's strength beside it.

        Returns
        -------
        weights : dict
            What `fastnn.kernels.output_units.weigh` takes of the rows' weights.
        """
        if sample_weight is None:
            self.weight_sum = self.n_rows
            return {}
        weights = sample_weight if self.order is None else sample_weight[self.order]
        lift = units.lift_of(np.abs(weights).max())
        weights = weights * lift
        self.alpha *= lift
        rounded = weights.astype(self.params.dtype)
        # Weights of both signs may cancel, and roundings would be what is left.
        exact = weights if weights.min() < 0 else rounded
        self.weight_sum = exact.sum(dtype=np.float64)
        if self.weight_sum == 0:
            raise ZeroDivisionError("Weights sum to zero, can't be normalized")
        return {"weights_at": np.ascontiguousarray(rounded), "moving": True}

    def __call__(self, params):
        """Loss (float) and gradient (n_params,), float64, at ``params``."""
        self.params[...] = params
        self.gradient[...] = 0
        self.scalars[units.LOSS] = 0.0
        machine = self.machine
        machine.push(self.params, self.gradient, self.scalars)
        self.pace.run_once(self.preparation)
        self.pace.run(self.n_rows, self.rows, self.order)
        machine.pull(self.gradient, self.scalars)
        n_weights = self.network.n_weights
        weights = self.params[:n_weights]
        gradient = self.gradient.astype(np.float64)
        gradient[:n_weights] += self.alpha * weights
        gradient /= self.weight_sum
        squares = np.square(weights, dtype=np.float64).sum()
        loss = self.scalars[units.LOSS] + 0.5 * self.alpha * squares
        return float(loss / self.weight_sum), gradient
