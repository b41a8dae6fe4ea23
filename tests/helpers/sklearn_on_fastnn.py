"""A pytest plugin that puts fastnn's estimators in the place of scikit-learn's.

Use it as ``pytest -p sklearn_on_fastnn --pyargs sklearn.neural_network.tests.test_mlp``.
It writes what took place to the file named in the environment variable
``SKLEARN_ON_FASTNN_REPORT``: which classes the tests saw, and how many fits each made.
"""

import json
import os
from collections import Counter

import sklearn.neural_network
from sklearn.neural_network import _multilayer_perceptron

import fastnn

NAMES = ("MLPClassifier", "MLPRegressor")
fits = Counter()
seen = set()


def qualified_name(cls):
    return f"{cls.__module__}.{cls.__qualname__}"


def count_fits(cls):
    """Count the fits of a class, under its qualified name, and change nothing else."""
    fit = cls.fit

    def counted(self, *args, **kwargs):
        fits[qualified_name(type(self))] += 1
        return fit(self, *args, **kwargs)

    counted.__wrapped__ = fit
    cls.fit = counted


def pytest_configure(config):
    # Here, not at import: whatever else imports this file must change nothing.
    for name in NAMES:
        count_fits(getattr(sklearn.neural_network, name))
        count_fits(getattr(fastnn, name))
        for module in (sklearn.neural_network, _multilayer_perceptron):
            setattr(module, name, getattr(fastnn, name))


def pytest_collection_finish(session):
    for item in session.items:
        seen.update(qualified_name(getattr(item.module, name)) for name in NAMES)


def pytest_sessionfinish(session):
    with open(os.environ["SKLEARN_ON_FASTNN_REPORT"], "w") as file:
        json.dump({"seen": sorted(seen), "fits": fits}, file)
