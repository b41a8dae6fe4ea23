"""Networks and data for tests with a validation set."""

import pytest

from common import make_problem

SMALL = dict(hidden_layer_sizes=(8,), batch_size=16, max_iter=25, random_state=0)


both_kinds_of_solver = pytest.mark.parametrize("solver", ["adam", "lbfgs"])


def split(problem, **settings):
    """Training and validation rows: X, X_val, y, y_val."""
    X, y = make_problem(problem, n_samples=120, **settings)
    return X[:80], X[80:], y[:80], y[80:]


def earlier_is_better(model, X, y):
    return -model.t_
