"""The CPU backend: plans for training and for a full-batch loss and gradient."""

import numpy as np

from fastnn.kernels import catalog, prediction, threads, units
from fastnn.kernels.passes import Pass, chunk_rows


def _square_sum_places(layers):
    """One array for the square sums of all layers, and its part for each layer."""
    counts = [-(-layer.n_in // units.SEGMENT) for layer in layers]
    sums = np.zeros(sum(counts))  # (segments of all layers,)
    return sums, np.split(sums, np.cumsum(counts)[:-1])


def _cast(data, dtype):
    """The data with weights and single targets in the network's precision.

    They are gathered with X's own unit then, one less to compile; wide targets are left to be
    cast mini-batch by mini-batch.
    """
    y, weights = data.y, data.sample_weight
    if y.shape[1] == 1:
        y = np.ascontiguousarray(y, dtype=dtype)
    if weights is not None:
        weights = np.ascontiguousarray(weights, dtype=dtype)
    return type(data)(data.X, y, weights)


class Trainer:
    """Trains a network on mini-batches, in place; see `fastnn.backends.Trainer`."""

    def __init__(self, network, params, data, optimizer, *, alpha, batch_size, n_threads):
        self.batch_size = batch_size
        self.optimizer = optimizer
        data = _cast(data, params.dtype)
        self._keep = data
        shared = Pass(
            network, params, data.X, batch_size, ordered=True, n_threads=n_threads, backward=True
        )
        self.scalars = np.zeros(units.N_SCALARS)  # (4,)
        self.scalars[units.ALPHA] = alpha
        self.coefficients = np.zeros(units.N_COEFFICIENTS, params.dtype)  # (8,)
        self.gradient = np.zeros_like(params)  # (n_params,)
        self.plan = shared.plan
        self._add_begin(shared, data)
        shared.add_rows_group(data)
        if shared.in_parts:
            shared.add_part_gradients()
        self.plan.group()
        sums, places = _square_sum_places(shared.layers)
        for i, layer in enumerate(shared.layers):
            self._add_weights(shared, i, layer, places[i])
            self._add_biases(shared, i, layer)
        self._add_finish(shared, sums)
        self.plan.compile()
        self.preparation = shared.preparation()
        self.pace = shared.pace()

    def _add_begin(self, shared, data):
        precision = shared.precision
        self.plan.group()
        self.plan.chain(tasks=1)
        self.plan.add(
            catalog.begin_step_unit(precision), weights_at=data.sample_weight,
            scalars_at=self.scalars, coefficients_at=self.coefficients,
        )  # fmt: skip
        shared.add_begin()
        # A group of its own, so that a step without weight is skipped before it counts.
        self.plan.group()
        self.plan.chain(tasks=1)
        self.plan.add(
            catalog.begin_update_unit(precision, self.optimizer.rule_name),
            state_at=self.optimizer.state, coefficients_at=self.coefficients,
        )  # fmt: skip

    def _add_weights(self, shared, i, layer, sums):
        self.plan.chain(tasks=shared.parameter_tasks(layer))
        size, block = layer.n_in * layer.n_out, shared.parameter_block(layer) * layer.n_out
        if shared.in_parts:
            shared.add_sum_parts(self.gradient, layer.weight_offset, size, block)
        else:
            shared.add_weight_gradient(i, self.gradient, units.ZERO)
        shared.add_square_sums(i, sums)
        self._add_update(shared, layer.weight_offset, size, block, decay=True)
        shared.add_pack(i, self.plan)

    def _add_biases(self, shared, i, layer):
        size = layer.n_out
        self.plan.chain(tasks=1)
        if shared.in_parts:
            shared.add_sum_parts(self.gradient, layer.bias_offset, size, size)
        else:
            shared.add_bias_gradient(i, self.gradient, units.ZERO)
        self._add_update(shared, layer.bias_offset, size, size, decay=False)

    def _add_update(self, shared, offset, size, block, *, decay):
        slots = self.optimizer.slots
        self.plan.add(
            catalog.update_unit(shared.precision, self.optimizer.rule_name),
            params_at=shared.params, gradient_at=self.gradient, slot_0_at=slots[0],
            slot_1_at=slots[-1], coefficients_at=self.coefficients, offset=offset, size=size,
            block=block, decay=decay,
        )  # fmt: skip

    def _add_finish(self, shared, sums):
        self.plan.group()
        self.plan.chain(tasks=1)
        self.plan.add(
            catalog.finish_unit(), row_loss_at=shared.row_loss, square_sums_at=sums,
            n_sums=len(sums), scalars_at=self.scalars, outputs=shared.outputs_of_mean,
        )  # fmt: skip

    def train_epoch(self, order):
        """Train on the rows in that order; see `fastnn.backends.Trainer`."""
        self.scalars[units.LOSS] = 0.0
        order = np.ascontiguousarray(order, dtype=np.int64)
        n_rows = len(order)
        if self.preparation is not None:
            # Once: from then on each step packs the weights that it has updated.
            self.preparation.run(1, 1, (0, 1), self.pace.team)
            self.preparation = None
        self.pace.run(n_rows, self.batch_size, order)
        return float(self.scalars[units.LOSS]) / n_rows


class Objective:
    """Loss and gradient of all the data, in blocks of rows; see `fastnn.backends.Backend`."""

    def __init__(self, network, data, *, alpha, dtype, n_threads):
        self.network, self.alpha = network, alpha
        self.params = np.zeros(network.n_params, dtype)  # (n_params,)
        self.gradient = np.zeros_like(self.params)  # (n_params,)
        data = _cast(data, dtype)
        self._keep = data
        self.n_rows = data.X.shape[0]
        weights = data.sample_weight
        self.weight_sum = self.n_rows if weights is None else weights.sum(dtype=np.float64)
        self.rows = min(self.n_rows, chunk_rows(network))
        shared = Pass(
            network, self.params, data.X, self.rows, ordered=False, n_threads=n_threads,
            backward=True,
        )  # fmt: skip
        self.scalars = np.zeros(units.N_SCALARS)  # (4,)
        self.plan = shared.plan
        self.plan.group()
        self.plan.chain(tasks=1)
        shared.add_begin()
        shared.add_rows_group(data)
        self.plan.group()
        for i, layer in enumerate(shared.layers):
            self.plan.chain(tasks=shared.parameter_tasks(layer))
            shared.add_weight_gradient(i, self.gradient, units.ADD)
            self.plan.chain(tasks=1)
            shared.add_bias_gradient(i, self.gradient, units.ADD)
        self.plan.chain(tasks=1)
        self.plan.add(
            catalog.add_loss_unit(), row_loss_at=shared.row_loss, scalars_at=self.scalars,
            outputs=shared.outputs_of_mean,
        )  # fmt: skip
        self.plan.compile()
        self.preparation = shared.preparation()
        self.pace = shared.pace()

    def __call__(self, params):
        """Loss (float) and gradient (n_params,), float64, at ``params``."""
        self.params[...] = params
        self.gradient[...] = 0
        self.scalars[units.LOSS] = 0.0
        self.preparation.run(1, 1, (0, 1), self.pace.team)
        self.pace.run(self.n_rows, self.rows)
        n_weights = self.network.n_weights
        weights = self.params[:n_weights]
        gradient = self.gradient.astype(np.float64)
        gradient[:n_weights] += self.alpha * weights
        gradient /= self.weight_sum
        squares = np.square(weights, dtype=np.float64).sum()
        loss = self.scalars[units.LOSS] + 0.5 * self.alpha * squares
        return float(loss / self.weight_sum), gradient


class CpuBackend:
    """The compiled core on the CPU; see `fastnn.backends.Backend`."""

    def __init__(self, n_jobs=None):
        self.n_threads = threads.resolve_n_jobs(n_jobs)

    def trainer(self, network, params, data, optimizer, *, alpha, batch_size):
        return Trainer(
            network, params, data, optimizer,
            alpha=alpha, batch_size=batch_size, n_threads=self.n_threads,
        )  # fmt: skip

    def objective(self, network, data, *, alpha, dtype):
        return Objective(network, data, alpha=alpha, dtype=dtype, n_threads=self.n_threads)

    def forward(self, network, params, X, *, rows=None, link=True, kept=None):
        if rows is not None:
            rows = np.ascontiguousarray(rows, dtype=np.int64)
        elif kept is not None and prediction.is_small(network, X):
            return prediction.predict_small(network, params, X, link, self.n_threads, kept)
        return prediction.predict(network, params, X, rows, link, self.n_threads)
