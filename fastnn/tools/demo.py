"""The demo: ``python -m fastnn`` trains on real data, beside scikit-learn.

Each estimator of fastnn and its namesake in scikit-learn are trained on the same data with
the same parameters and the same ``random_state``, so that they start from the same weights
and see the same mini-batches: what differs is the time.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter

import numba
import numpy as np
import sklearn
import sklearn.neural_network
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import fastnn
from fastnn import backends

DEFAULT_PICTURE = Path("fastnn-demo.png")
N_FITS = 3

# tol=0 without a limit of patience: both run through the same number of epochs.
EVERY_EPOCH = {"tol": 0.0, "n_iter_no_change": np.inf, "random_state": 0}


@dataclass(frozen=True)
class Task:
    """A data set, an estimator's name and the parameters to train it with."""

    dataset: str
    load: Callable
    estimator: str
    params: dict
    score: str


TASKS = (
    Task(
        "digits",
        load_digits,
        "MLPClassifier",
        {"hidden_layer_sizes": (100,), "max_iter": 100},
        "accuracy",
    ),
    Task(
        "diabetes",
        load_diabetes,
        "MLPRegressor",
        {
            "hidden_layer_sizes": (100,),
            "alpha": 10.0,
            "batch_size": 32,
            "max_iter": 100,
        },
        "R^2",
    ),
)


@dataclass(frozen=True)
class Outcome:
    """A fitted estimator: the median of its seconds, its test score, its loss curve."""

    seconds: float
    score: float
    loss_curve: np.ndarray


def load(task):
    """Training and test rows of a task, the inputs standardised, and so a regressor's targets."""
    X, y = task.load(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=0)
    scaler = StandardScaler().fit(X_train)
    if task.score == "R^2":
        mean, deviation = y_train.mean(), y_train.std()
        y_train, y_test = (y_train - mean) / deviation, (y_test - mean) / deviation
    return scaler.transform(X_train), scaler.transform(X_test), y_train, y_test


def timed_fit(estimator, X, y):
    """A fitted clone of an estimator and the seconds that the fit took."""
    estimator = clone(estimator)
    with warnings.catch_warnings():
        # Every epoch is wanted, converged or not.
        warnings.simplefilter("ignore", ConvergenceWarning)
        start = perf_counter()
        estimator.fit(X, y)
        return estimator, perf_counter() - start


def compare(task):
    """Train both libraries' estimators in turn; X's shape and a dict of their outcomes."""
    X_train, X_test, y_train, y_test = load(task)
    estimators = {
        name: getattr(library, task.estimator)(**EVERY_EPOCH, **task.params)
        for name, library in (("fastnn", fastnn), ("scikit-learn", sklearn.neural_network))
    }
    seconds = {name: [] for name in estimators}
    fitted = {}
    for _ in range(N_FITS):
        for name, estimator in estimators.items():
            fitted[name], elapsed = timed_fit(estimator, X_train, y_train)
            if name == "scikit-learn":
                # Its BLAS may lose more by several threads than it gains: the better time counts.
                with threadpool_limits(1):
                    elapsed = min(elapsed, timed_fit(estimator, X_train, y_train)[1])
            seconds[name].append(elapsed)
    return X_train.shape, {
        name: Outcome(
            median(seconds[name]),
            fitted[name].score(X_test, y_test),
            np.asarray(fitted[name].loss_curve_),
        )
        for name in estimators
    }


def report(task, shape, outcomes):
    """Print a task's outcomes."""
    ours, theirs = outcomes["fastnn"], outcomes["scikit-learn"]
    difference = np.max(np.abs(ours.loss_curve / theirs.loss_curve - 1.0))
    n_samples, n_features = shape
    print(
        f"\n{task.estimator} on {task.dataset}: {n_samples} samples, {n_features} features, "
        f"{task.params['max_iter']} epochs, hidden layers {task.params['hidden_layer_sizes']}"
    )
    print(f"  {'':<14}{'seconds':>9}   test {task.score}")
    for name, outcome in outcomes.items():
        print(f"  {name:<14}{outcome.seconds:>9.4f}   {outcome.score:.4f}")
    print(f"  scikit-learn took {theirs.seconds / ours.seconds:.1f} times as long as fastnn")
    print(f"  largest relative difference between the loss curves: {difference:.1e}")


def save_picture(results, path):
    """Draw the loss curves of every task, fastnn's over scikit-learn's."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    all_axes = figure.subplots(1, len(results))
    for axes, (task, outcomes) in zip(all_axes, results, strict=True):
        for name, style in (
            ("scikit-learn", {"color": "#f7a64a", "linewidth": 5}),
            ("fastnn", {"color": "#173f7a", "linewidth": 1.5}),
        ):
            outcome = outcomes[name]
            epochs = np.arange(1, len(outcome.loss_curve) + 1)
            axes.plot(epochs, outcome.loss_curve, label=f"{name}, {outcome.seconds:.3f} s", **style)
        axes.set_title(f"{task.estimator} on {task.dataset}")
        axes.set_xlabel("epoch")
        axes.set_ylabel("training loss")
        axes.set_yscale("log")
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def main(output=DEFAULT_PICTURE):
    """Run the demo; the picture of the loss curves goes to ``output``."""
    print(
        f"fastnn {fastnn.__version__}, scikit-learn {sklearn.__version__}, "
        f"Numba {numba.__version__}, {backends.get_backend().n_threads} threads"
    )
    seconds = fastnn.warmup(dtype="float64")
    print(f"Kernels compiled, or loaded from the cache, in {seconds:.2f} s")

    results = []
    for task in TASKS:
        shape, outcomes = compare(task)
        report(task, shape, outcomes)
        results.append((task, outcomes))

    if find_spec("matplotlib") is None:
        print("\nFor a picture of the loss curves: python -m pip install matplotlib")
    else:
        save_picture(results, output)
        print(f"\nPicture of the loss curves: {output.resolve()}")
