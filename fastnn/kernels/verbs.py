"""The verbs of a backend that all machines have in common: those that are plans."""

import numpy as np

from fastnn.kernels import inspection, prediction
from fastnn.kernels.evaluation import Evaluation
from fastnn.kernels.objective import Objective
from fastnn.kernels.trainer import Trainer


def order_of(rows):
    """Numbers of rows as the kernels read them, (n_rows,); None stays None, all rows in order."""
    return None if rows is None else np.ascontiguousarray(rows, dtype=np.int64)


class Verbs:
    """The verbs, by a ``machine`` that subclasses have; see `fastnn.backends.Backend`."""

    def trainer(self, network, data, state, *, regularization, batch_size):
        return Trainer(
            network,
            self.machine,
            data,
            state,
            regularization=regularization,
            batch_size=batch_size,
        )

    def objective(self, network, data, *, alpha, dtype, rows=None):
        order = order_of(rows)
        return Objective(network, self.machine, data, alpha=alpha, dtype=dtype, order=order)

    def evaluation(self, network, data, *, dtype, rows=None):
        return Evaluation(network, self.machine, data, dtype, order=order_of(rows))

    def forward(self, network, params, X, *, link=True, plans=None):
        return prediction.predict(network, self.machine, params, X, link)

    def hidden(self, network, params, X, layer):
        return inspection.hidden(network, self.machine, params, X, layer)

    def input_gradient(self, network, params, X, weights):
        return inspection.input_gradient(network, self.machine, params, X, weights)
