"""Fitted estimators to draw, and figures that are closed."""

import sys

import pytest

from common import make_problem
from fastnn import MLPClassifier


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="module")
def validated():
    """A classifier (7-9-4 units) with a validation set of its own."""
    X, y = make_problem("multiclass", n_samples=120)
    clf = MLPClassifier(9, max_iter=12, learning_rate_init=0.01, random_state=0)
    return clf.fit(X[:80], y[:80], X_val=X[80:], y_val=y[80:])


@pytest.fixture(scope="module")
def on_images():
    """A classifier of images of 4 x 4 pixels, with 11 hidden units."""
    X, y = make_problem("binary", n_features=16)
    return MLPClassifier(11, max_iter=5, random_state=0).fit(X, y)
