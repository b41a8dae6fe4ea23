"""The data sets of the benchmarks. Each is (X, y): rows of floats, class indices."""

import os

import numpy as np
from scipy import sparse
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
    return X, draw_classes(scores, rng)


def tf_idf(n_samples, n_features, n_nonzeros, n_classes, seed=0):
    """Rows like those of a TfidfVectorizer: CSR of length 1, few columns in most of the rows.

    As with the words of a language, the popularity of a column falls with its rank (Zipf).
    Classes are drawn as in `synthetic`.
    """
    rng = np.random.default_rng(seed)
    popularity = np.cumsum(1.0 / np.arange(3, n_features + 3))
    popularity /= popularity[-1]
    indices = np.empty((n_samples, n_nonzeros), np.int32)
    for row in indices:
        row[:] = distinct_draws(popularity, n_nonzeros, rng)
    idf = 1.0 + np.log(n_samples / (1.0 + np.bincount(indices.ravel(), minlength=n_features)))
    values = (1.0 + rng.exponential(0.5, indices.shape)) * idf[indices]
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    indptr = np.arange(n_samples + 1, dtype=np.int32) * n_nonzeros
    X = sparse.csr_matrix((values.ravel(), indices.ravel(), indptr), (n_samples, n_features))
    X.sort_indices()
    return X, draw_classes(X @ rng.standard_normal((n_features, n_classes)), rng)


def distinct_draws(cumulative, n_draws, rng):
    """The first ``n_draws`` different values of draws from a distribution."""
    draws = np.searchsorted(cumulative, rng.random(4 * n_draws))
    first = np.unique(draws, return_index=True)[1]
    while len(first) < n_draws:
        draws = np.append(draws, np.searchsorted(cumulative, rng.random(4 * n_draws)))
        first = np.unique(draws, return_index=True)[1]
    return draws[np.sort(first)[:n_draws]]


def draw_classes(scores, rng):
    """Classes from the softmax of twice the scores (n_samples, n_classes)."""
    # The largest of scores plus Gumbel noise is a draw from their softmax.
    return np.argmax(2.0 * scores + rng.gumbel(size=scores.shape), axis=1)


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
