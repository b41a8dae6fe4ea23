"""The data sets of the benchmarks. Each is (X, y): rows of floats, class indices."""

import os

import numpy as np
from sklearn.datasets import fetch_openml, load_digits

N_MNIST_TRAIN = 60_000


def synthetic(n_samples, n_features, n_classes, seed=0):
    """Normal inputs, classes drawn from the softmax of a random linear map of them.

    The classes are drawn, not taken as the largest, so that the loss of a good model stays
    well above zero and final losses can be compared.
    """
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_features))
    scores = X @ rng.standard_normal((n_features, n_classes)) / np.sqrt(n_features)
    # The largest of scores plus Gumbel noise is a draw from their softmax.
    y = np.argmax(2.0 * scores + rng.gumbel(size=scores.shape), axis=1)
    return X, y


def digits():
    """scikit-learn's digits as they come: 1797 images of 8 x 8 pixels, 0 to 16."""
    return load_digits(return_X_y=True)


def mnist(part="train"):
    """MNIST / 255, the 60,000 training ("train") or the 10,000 test images ("test").

    Read from the npz file that the environment variable FASTNN_MNIST names (arrays X_train,
    y_train, X_test, y_test), otherwise from OpenML.
    """
    path = os.environ.get("FASTNN_MNIST")
    if path:
        with np.load(path) as arrays:
            return arrays[f"X_{part}"] / 255.0, arrays[f"y_{part}"].astype(int)
    X, y = fetch_openml("mnist_784", return_X_y=True, as_frame=False)
    rows = slice(None, N_MNIST_TRAIN) if part == "train" else slice(N_MNIST_TRAIN, None)
    return X[rows] / 255.0, y[rows].astype(int)
