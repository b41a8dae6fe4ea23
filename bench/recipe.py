"""scikit-learn's recipe for a fit, for the libraries whose users write the loop themselves."""

import numpy as np
from sklearn.utils import check_random_state

from fastnn.network.multilayer import multilayer_perceptron

# scikit-learn's defaults.
ALPHA, BETAS, EPSILON = 1e-4, (0.9, 0.999), 1e-8


class Start:
    """Where a training begins: the initial weights, and the orders that come after them.

    scikit-learn draws both from the same ``random_state``: first the weights, then a shuffle of
    the last order for each epoch.

    Parameters
    ----------
    row : Row
    X, y : ndarray
    """

    def __init__(self, row, X, y):
        self._rng = check_random_state(row.params["random_state"])
        network = multilayer_perceptron(row.layer_units(X, y), activation="relu", loss="log_loss")
        params = network.initialize(self._rng, X.dtype)
        self.coefs = [coef.copy() for coef in network.coefs(params)]
        self.intercepts = [intercept.copy() for intercept in network.intercepts(params)]
        self._order = np.arange(len(X))

    def next_order(self):
        """The order of the next epoch."""
        # The draw of sklearn.utils.shuffle, without its checks.
        self._order = self._order[self._rng.permutation(len(self._order))]
        return self._order


def step_sizes(rate, n_steps, dtype):
    """Adam's rate with its two bias corrections, for steps 1 to ``n_steps``.

    scikit-learn's step is ``rate * m / (sqrt(v) + epsilon)``: its epsilon comes before the
    correction of v, and the correction into the rate.
    """
    t = np.arange(1, n_steps + 1)
    rates = rate * np.sqrt(1.0 - BETAS[1] ** t) / (1.0 - BETAS[0] ** t)
    return rates.astype(dtype)
