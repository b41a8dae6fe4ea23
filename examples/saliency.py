"""Where a network looks: the gradient of a digit's raw output, pixel by pixel.

    python examples/saliency.py [folder]    # needs the extra "plot"

Saves saliency.png, by default in examples/pictures.

One test image of each of scikit-learn's digits. Under it what `input_gradient` gives for the
class that is predicted, red where more ink would speak for it and blue where against; and the same
for the class that comes second. Pixels that seldom have ink may stand out: where they had some, it
told the classes apart. After Simonyan et al. (2014), arXiv:1312.6034.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fastnn import MLPClassifier


def fit():
    """The network, and test images (n, 64) in [0, 1] with their digits."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
    model = MLPClassifier(
        (100,),
        activation="silu",
        solver="adamw",
        alpha=0.3,
        input_dropout=0.1,
        learning_rate="one_cycle",
        learning_rate_init=0.03,
        max_iter=100,
        n_iter_no_change=100,
        random_state=0,
    )
    return model.fit(X_train, y_train), X_test, y_test


def show_gradient(axes, model, image, digit):
    gradient = model.input_gradient([image], target=digit).reshape(8, 8)
    limit = np.abs(gradient).max()
    axes.imshow(gradient, cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes.set_title(f"for a {digit}", fontsize=9)


def main(folder):
    model, X, y = fit()
    print(f"accuracy {model.score(X, y):.3f}")
    predicted, probabilities = model.predict(X), model.predict_proba(X)
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    panels = figure.subplots(3, 10)
    for digit, column in enumerate(panels.T):
        one = np.flatnonzero((y == digit) & (predicted == digit))[0]
        second = probabilities[one].argsort()[-2]
        column[0].imshow(X[one].reshape(8, 8), cmap="gray_r")
        show_gradient(column[1], model, X[one], digit)
        show_gradient(column[2], model, X[one], second)
    labels = ("image", "predicted class", "second class")
    for axes, label in zip(panels[:, 0], labels, strict=True):
        axes.set_ylabel(label)
    for axes in panels.flat:
        axes.set_xticks([])
        axes.set_yticks([])
    path = Path(folder) / "saliency.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    print(f"wrote {path}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "pictures")
