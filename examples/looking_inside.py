"""Looking inside networks: loss curves with validation, a whole small network, learned weights.

    python examples/looking_inside.py [folder]    # needs the extra "plot"; default: pictures

Saves loss_curves.png (three solvers on scikit-learn's digits, with a validation set), network.png
(a network for two moons and what it makes of the plane) and first_layer.png (what the hidden units
of a classifier of digits look for).
"""

import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.model_selection import train_test_split

from fastnn import LossCurveDisplay, MLPClassifier, NetworkDisplay, WeightsDisplay


def draw_loss_curves(X_train, X_val, y_train, y_val):
    """Loss and accuracy of three solvers, side by side."""
    models = {
        f"{solver}, rate {rate}": MLPClassifier(
            50,
            solver=solver,
            learning_rate_init=rate,
            max_iter=60,
            n_iter_no_change=60,
            random_state=0,
        ).fit(X_train, y_train, X_val=X_val, y_val=y_val)
        for solver, rate in (("sgd", 0.1), ("adam", 0.003), ("muon", 0.01))
    }
    figure, (loss, accuracy) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    LossCurveDisplay.from_estimators(models, kind="both", ax=loss, score_ax=accuracy)
    loss.set_yscale("log")
    accuracy.set_ylim(0.9, 1)
    for name, model in models.items():
        print(f"{name}: validation accuracy {model.best_validation_score_:.3f}")
    return figure


def draw_network():
    """A network of 2-6-4-1 units, and the regions of its classes."""
    X, y = make_moons(300, noise=0.15, random_state=0)
    model = MLPClassifier(
        (6, 4), activation="tanh", solver="lbfgs", alpha=0.3, max_iter=500, random_state=1
    ).fit(X, y)
    print(f"moons: accuracy {model.score(X, y):.3f}")
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 3.6), layout="constrained", width_ratios=(3, 2)
    )
    NetworkDisplay.from_estimator(model, output_names=["orange"], ax=left)
    DecisionBoundaryDisplay.from_estimator(
        model,
        X,
        response_method="predict_proba",
        plot_method="pcolormesh",
        cmap="PuOr_r",
        grid_resolution=300,
        vmin=-0.7,
        vmax=1.7,
        ax=right,
    )
    right.scatter(*X.T, c=y, cmap="PuOr_r", edgecolors="white", linewidths=0.4, s=18)
    right.set(xlabel="x0", ylabel="x1", aspect="equal")
    return figure


def draw_weights(X_train, X_test, y_train, y_test):
    """First-layer weights of digits: of all pixels, or with an L1 penalty of few."""
    models = {
        "L2 penalty": MLPClassifier(32, solver="lbfgs", alpha=1, max_iter=2000, random_state=0),
        "half of it L1": MLPClassifier(
            32, learning_rate_init=0.01, alpha=0.5, l1_ratio=0.5, max_iter=150,
            n_iter_no_change=150, random_state=0,
        ),
    }  # fmt: skip
    figure, panels = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
    for axes, (name, model) in zip(panels, models.items(), strict=True):
        accuracy = model.fit(X_train, y_train).score(X_test, y_test)
        WeightsDisplay.from_estimator(model, units=16, largest=True, ax=axes)
        axes.set_title(f"{name}: {100 * accuracy:.1f} % right")
        print(f"{name}: test accuracy {accuracy:.3f}")
    return figure


def main():
    default = Path(__file__).parent / "pictures"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    folder.mkdir(parents=True, exist_ok=True)
    # The curves are all of as many epochs, whether or not more would help.
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    plt.style.use("seaborn-v0_8-colorblind")
    X, y = load_digits(return_X_y=True)
    split = train_test_split(X / 16, y, random_state=0)
    for name, figure in (
        ("loss_curves", draw_loss_curves(*split)),
        ("network", draw_network()),
        ("first_layer", draw_weights(*split)),
    ):
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=90, bbox_inches="tight")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
