"""MNIST with a plain network, without augmentation: 20 epochs, dropout and a one-cycle rate.

    python examples/mnist.py    # downloads MNIST once; or FASTNN_MNIST=mnist.npz

The settings were chosen on 5,000 of the 60,000 training images; the test images are looked at
once. Prints the test error and the seconds.
"""

import os
from time import perf_counter

import numpy as np
from sklearn.datasets import fetch_openml

from fastnn import MLPClassifier


def load():
    """Training and test images (n, 784) in [0, 1], float32, and their digits."""
    path = os.environ.get("FASTNN_MNIST")
    if path:
        with np.load(path) as file:
            parts = [file[name] for name in ("X_train", "y_train", "X_test", "y_test")]
    else:
        X, y = fetch_openml("mnist_784", version=1, return_X_y=True, as_frame=False)
        y = y.astype(int)
        parts = [X[:60_000], y[:60_000], X[60_000:], y[60_000:]]
    X_train, y_train, X_test, y_test = parts
    scaled = [X.reshape(len(X), -1).astype(np.float32) / 255 for X in (X_train, X_test)]
    return scaled[0], y_train, scaled[1], y_test


def make_model(**settings):
    return MLPClassifier(
        (1000, 1000),
        dropout=0.3,
        input_dropout=0.2,
        solver="adamw",
        alpha=0.02,
        learning_rate="one_cycle",
        learning_rate_init=0.003,
        label_smoothing=0.05,
        batch_size=200,
        max_iter=20,
        n_iter_no_change=20,
        random_state=0,
        **settings,
    )


def report(model):
    """Train a model and print its test error."""
    X_train, y_train, X_test, y_test = load()
    begin = perf_counter()
    model.fit(X_train, y_train)
    seconds = perf_counter() - begin
    error = 100 * (1 - model.score(X_test, y_test))
    print(f"test error {error:.2f} % after {model.n_iter_} epochs in {seconds:.0f} s")


if __name__ == "__main__":
    report(make_model(verbose="progress"))
