"""Scores and losses of stochastic strategies, each on four data sets."""

import warnings

from sklearn.datasets import load_digits, load_iris, make_circles, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import MinMaxScaler

SGD = {"solver": "sgd", "learning_rate_init": 0.2}
STRATEGIES = {
    f"{rate} rate, {name}": SGD | {"learning_rate": rate} | momentum
    for rate in ("constant", "invscaling", "adaptive")
    for name, momentum in {
        "no momentum": {"momentum": 0},
        "momentum": {"momentum": 0.9, "nesterovs_momentum": False},
        "Nesterov's momentum": {"momentum": 0.9, "nesterovs_momentum": True},
    }.items()
}
STRATEGIES["adam"] = {"solver": "adam", "learning_rate_init": 0.01}
DATA = {
    "iris": load_iris(return_X_y=True),
    "digits": load_digits(return_X_y=True),
    "circles": make_circles(noise=0.2, factor=0.5, random_state=1),
    "moons": make_moons(noise=0.3, random_state=0),
}
for data, (X, y) in DATA.items():
    X = MinMaxScaler().fit_transform(X)
    for strategy, parameters in STRATEGIES.items():
        network = MLPClassifier(
            random_state=0, max_iter=15 if data == "digits" else 400, **parameters
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            network.fit(X, y)
        print(
            f"{data}, {strategy}: score {network.score(X, y):.6f}, loss {network.loss_:.6f}"
            f" after {network.n_iter_} epochs"
        )
