"""The CPU backend, and its plan for a full-batch loss and gradient."""

import numpy as np

from fastnn import forks
from fastnn.kernels import augmentation, catalog, inspection, prediction, units
from fastnn.kernels.cpu import pace, threads
from fastnn.kernels.evaluation import Evaluation
from fastnn.kernels.inputs import read
from fastnn.kernels.passes import Pass, cast, chunk_rows, flops
from fastnn.kernels.trainer import Trainer


class Objective:
    """Loss and gradient of all the data, in blocks of rows; see `fastnn.backends.Backend`."""

    def __init__(self, network, data, *, alpha, dtype, n_threads, order=None):
        self.network, self.alpha = network, alpha
        self.params = np.zeros(network.n_params, dtype)  # (n_params,)
        self.gradient = np.zeros_like(self.params)  # (n_params,)
        data = cast(data, dtype)
        self._keep = data
        self.order = order
        self.n_rows = data.X.shape[0] if order is None else len(order)
        weights = self._weigh(data.sample_weight)
        self.rows = min(self.n_rows, chunk_rows(network))
        source = read(network, data.X, self.rows, self.params.dtype, ordered=order is not None)
        pass_ = Pass(network, self.params, source, n_threads=n_threads, backward=True)
        self.scalars = np.zeros(units.N_SCALARS)  # (5,)
        self.plan = pass_.plan
        self.plan.group()
        self.plan.chain(tasks=1)
        pass_.add_begin()
        pass_.add_rows_group(data.y, weights, self.gradient)
        self.plan.group()
        for parameters in pass_.parameters():
            self.plan.chain(tasks=parameters.tasks)
            parameters.add_gradient(self.gradient, units.ADD)
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
        self.preparation.run(1, 1, (0, 1), self.pace.team)
        self.pace.run(self.n_rows, self.rows, self.order)
        n_weights = self.network.n_weights
        weights = self.params[:n_weights]
        gradient = self.gradient.astype(np.float64)
        gradient[:n_weights] += self.alpha * weights
        gradient /= self.weight_sum
        squares = np.square(weights, dtype=np.float64).sum()
        loss = self.scalars[units.LOSS] + 0.5 * self.alpha * squares
        return float(loss / self.weight_sum), gradient


def order_of(rows):
    """Numbers of rows as the kernels read them, (n_rows,); None stays None, all rows in order."""
    return None if rows is None else np.ascontiguousarray(rows, dtype=np.int64)


def _perceptron():
    # Networks, which begin with the import of this module, do not wait for it.
    with forks.importing:
        from fastnn.kernels import perceptron

    return perceptron


class CpuBackend:
    """The compiled core on the CPU; see `fastnn.backends.Backend`."""

    def __init__(self, n_jobs=None):
        self.n_jobs = n_jobs

    @property
    def n_threads(self):
        """The most threads; finding out takes some microseconds."""
        return threads.resolve_n_jobs(self.n_jobs)

    def trainer(self, network, data, state, *, regularization, batch_size):
        return Trainer(
            network,
            data,
            state,
            regularization=regularization,
            batch_size=batch_size,
            n_threads=self.n_threads,
        )

    def objective(self, network, data, *, alpha, dtype, rows=None):
        return Objective(
            network, data, alpha=alpha, dtype=dtype, n_threads=self.n_threads, order=order_of(rows)
        )

    def evaluation(self, network, data, *, dtype, rows=None):
        order = order_of(rows)
        return Evaluation(network, data, dtype, order=order, n_threads=self.n_threads)

    def forward(self, network, params, X, *, link=True, plans=None):
        if plans is not None and prediction.is_small(network, X):
            work = flops(network, len(X), backward=False)
            n_threads = self.n_threads if pace.may_be_shared(work) else 1
            return prediction.predict_small(network, params, X, link, n_threads, plans)
        return prediction.predict(network, params, X, link, self.n_threads)

    def hidden(self, network, params, X, layer):
        return inspection.hidden(network, params, X, layer, self.n_threads)

    def input_gradient(self, network, params, X, weights):
        return inspection.input_gradient(network, params, X, weights, self.n_threads)

    def augment(self, settings, images, seed):
        return augmentation.augment(settings, images, seed)

    def perceptron_sums(self, X, coef, intercept):
        return _perceptron().Perceptrons(X, coef, intercept).sums()

    def perceptron_learner(self, X, coef, intercept, targets, **settings):
        return _perceptron().Learner(X, coef, intercept, targets, **settings)
