"""Small problems that a perceptron cannot solve, and a curve: what networks make of them.

    python examples/decision_boundaries.py    # needs the extra "plot"

Saves decision_boundaries.png. XOR, circles and spirals by one classifier each, with the regions of
its classes; and a wavy function on the unit square by one hidden layer, with its error.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import make_circles
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from fastnn import MLPClassifier, MLPRegressor

GRID = 200


def xor(rng):
    X = rng.uniform(-1, 1, (400, 2))
    return X, (X[:, 0] * X[:, 1] > 0).astype(int)


def circles(rng):
    return make_circles(400, noise=0.08, factor=0.5, random_state=0)


def spirals(rng, turns=1.75, n=300):
    """Two arms of a spiral."""
    radius = np.sqrt(rng.uniform(0.02, 1, n))
    angle = 2 * np.pi * turns * radius
    arm = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    X = np.vstack([arm, -arm]) + 0.02 * rng.standard_normal((2 * n, 2))
    return X, np.repeat([0, 1], n)


def waves(X):
    """A wavy function on [0, 1]²."""
    return np.sin(2 * np.pi * X[:, 0]) * np.cos(2 * np.pi * X[:, 1])


def fit_classifier(X, y):
    model = MLPClassifier(
        (64, 64),
        activation="silu",
        solver="adamw",
        alpha=0.001,
        learning_rate="one_cycle",
        learning_rate_init=0.02,
        max_iter=300,
        n_iter_no_change=300,
        batch_size=64,
        random_state=0,
    )
    return model.fit(X, y)


def fit_waves(rng):
    """One hidden layer; and its error on points that it has not seen.

    L-BFGS stops where the loss no longer falls by a part of it or of 1, so the target is scaled up.
    """
    X, unseen = rng.uniform(0, 1, (2, 3_000, 2))
    network = MLPRegressor(
        hidden_layer_sizes=200,
        activation="tanh",
        solver="lbfgs",
        alpha=0,
        tol=1e-9,
        max_iter=9_000,
        max_fun=20_000,
        weight_init="uniform",
        random_state=0,
    )
    scaled = make_pipeline(MinMaxScaler((-3, 3)), network)
    model = TransformedTargetRegressor(
        scaled, func=lambda y: 100 * y, inverse_func=lambda y: y / 100
    )
    model.fit(X, waves(X))
    return model, np.sqrt(np.mean((model.predict(unseen) - waves(unseen)) ** 2))


def show_regions(axes, model, X, y):
    limits = 1.1 * np.abs(X).max()
    x = np.linspace(-limits, limits, GRID)
    points = np.column_stack([axis.ravel() for axis in np.meshgrid(x, x)])
    probability = model.predict_proba(points)[:, 1].reshape(GRID, GRID)
    axes.contourf(x, x, probability, levels=20, cmap="RdBu", alpha=0.6, vmin=0, vmax=1)
    axes.contour(x, x, probability, levels=[0.5], colors="black", linewidths=1)
    axes.scatter(*X.T, c=y, cmap="RdBu", edgecolors="white", linewidths=0.3, s=12)


def main():
    rng = np.random.default_rng(0)
    figure, panels = plt.subplots(1, 4, figsize=(16, 4), layout="constrained")
    for axes, problem in zip(panels, (xor, circles, spirals), strict=False):
        X, y = problem(rng)
        model = fit_classifier(X, y)
        accuracy = model.score(X, y)
        print(f"{problem.__name__}: accuracy {accuracy:.3f} after {model.n_iter_} epochs")
        show_regions(axes, model, X, y)
        axes.set_title(f"{problem.__name__}: {100 * accuracy:.1f} % right")
    model, error = fit_waves(rng)
    print(f"waves: RMSE {error:.1e}")
    x = np.linspace(0, 1, GRID)
    points = np.column_stack([axis.ravel() for axis in np.meshgrid(x, x)])
    panels[3].contourf(x, x, model.predict(points).reshape(GRID, GRID), levels=30, cmap="PuOr")
    panels[3].set_title(f"sin 2πx cos 2πy: RMSE {error:.0e}")
    for axes in panels:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_aspect("equal")
    figure.savefig("decision_boundaries.png", dpi=100)


if __name__ == "__main__":
    main()
