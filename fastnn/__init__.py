"""Compiled multi-layer perceptrons with scikit-learn's interface.

`MLPClassifier` and `MLPRegressor` take the place of the classes of the same names
in `sklearn.neural_network`; `Perceptron` is Rosenblatt's. Importing this package
compiles nothing; kernels are compiled, or loaded from a cache on disk, by the first
fit that needs them, or ahead of time by `warmup`.
"""

from importlib import import_module as _import_module

from fastnn import forks as _forks
from fastnn._version import __version__
from fastnn.estimators.augmenter import ImageAugmenter
from fastnn.estimators.classifier import MLPClassifier
from fastnn.estimators.config import config_context, get_config, set_config
from fastnn.estimators.perceptron import Perceptron
from fastnn.estimators.registration import register_activation, register_loss
from fastnn.estimators.regressor import MLPRegressor
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
    "show_versions",
    "unpatch_sklearn",
    "warmup",
]


# Names that are imported when they are asked for, and their modules: `warmup` brings the compiler
# with it, and most programs draw nothing and report nothing.
_LATE = {
    "LossCurveDisplay": "fastnn.plotting.curves",
    "NetworkDisplay": "fastnn.plotting.network",
    "WeightsDisplay": "fastnn.plotting.weights",
    "show_versions": "fastnn.tools.versions",
    "warmup": "fastnn.tools.precompile",
}


def __getattr__(name):
    if name in _LATE:
        with _forks.importing:
            return getattr(_import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
