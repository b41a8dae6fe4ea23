"""Scores of networks with more and more L2 penalty on three kinds of data in the plane.

With a number as argument, the data are changed at random in the last place.
"""

import sys

import numpy as np
from sklearn.datasets import make_circles, make_classification, make_moons
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def separable(seed):
    X, y = make_classification(
        n_features=2, n_redundant=0, n_informative=2, random_state=seed, n_clusters_per_class=1
    )
    return X + 2 * np.random.RandomState(2).uniform(size=X.shape), y


DATA = {
    "moons": make_moons(noise=0.3, random_state=0),
    "circles": make_circles(noise=0.2, factor=0.5, random_state=1),
    "separable": separable(0),
}
for name, (X, y) in DATA.items():
    if sys.argv[1:]:
        signs = np.random.RandomState(int(sys.argv[1])).choice([-1, 1], X.shape)
        X = X * (1 + np.finfo(float).eps * signs)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=42)
    for alpha in np.logspace(-1, 1, 5):
        network = MLPClassifier(
            solver="lbfgs",
            alpha=alpha,
            random_state=1,
            max_iter=2000,
            early_stopping=True,
            hidden_layer_sizes=[10, 10],
        )
        model = make_pipeline(StandardScaler(), network).fit(X_train, y_train)
        probability = model.predict_proba(X_test)[:, 1]
        print(
            f"{name} {alpha:.2f}: {model.score(X_train, y_train):.6f}"
            f" {model.score(X_test, y_test):.6f} {probability.mean():.4f}"
        )
