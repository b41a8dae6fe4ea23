"""Compiled multi-layer perceptrons with scikit-learn's interface.

`MLPClassifier` and `MLPRegressor` take the place of the classes of the same names
in `sklearn.neural_network`; `Perceptron` is Rosenblatt's. Importing this package
compiles nothing; kernels are compiled, or loaded from a cache on disk, by the first
fit that needs them, or ahead of time by `warmup`.
"""

from fastnn import forks as _forks
from fastnn._version import __version__
from fastnn.estimators.augmenter import ImageAugmenter
from fastnn.estimators.classifier import MLPClassifier
from fastnn.estimators.config import config_context, get_config, set_config
from fastnn.estimators.perceptron import Perceptron
from fastnn.estimators.registration import register_activation, register_loss
from fastnn.estimators.regressor import MLPRegressor
from fastnn.plotting.curves import LossCurveDisplay
from fastnn.plotting.network import NetworkDisplay
from fastnn.plotting.weights import WeightsDisplay
from fastnn.tools.patching import patch_sklearn, unpatch_sklearn

__all__ = [
    "ImageAugmenter",
    "LossCurveDisplay",
    "MLPClassifier",
    "MLPRegressor",
    "NetworkDisplay",
    "Perceptron",
    "WeightsDisplay",
    "__version__",
    "config_context",
    "get_config",
    "patch_sklearn",
    "register_activation",
    "register_loss",
    "set_config",
    "unpatch_sklearn",
    "warmup",
]


def __getattr__(name):
    # `warmup` brings the compiler with it, so it is imported when it is asked for.
    if name == "warmup":
        with _forks.importing:
            from fastnn.tools.precompile import warmup

        return warmup
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
