"""Compiled multi-layer perceptrons with scikit-learn's interface.

`MLPClassifier` and `MLPRegressor` take the place of the classes of the same names
in `sklearn.neural_network`; `Perceptron` is Rosenblatt's. Importing this package
compiles nothing; kernels are compiled, or loaded from a cache on disk, by the first
fit that needs them, or ahead of time by `warmup`.
"""

from fastnn.classifier import MLPClassifier
from fastnn.perceptron import Perceptron
from fastnn.registration import register_activation, register_loss
from fastnn.regressor import MLPRegressor

__version__ = "0.1.0"

__all__ = [
    "MLPClassifier",
    "MLPRegressor",
    "Perceptron",
    "__version__",
    "register_activation",
    "register_loss",
    "warmup",
]


def __getattr__(name):
    # `warmup` brings the compiler with it, so it is imported when it is asked for.
    if name == "warmup":
        from fastnn.precompile import warmup

        return warmup
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
