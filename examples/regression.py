"""Regression in float32, with counts as the target: the Poisson loss beside the squared error.

python examples/regression.py
"""

import numpy as np
from sklearn.metrics import mean_poisson_deviance
from sklearn.model_selection import train_test_split

from fastnn import MLPRegressor

rng = np.random.default_rng(0)
X = rng.standard_normal((5_000, 4)).astype(np.float32)
expected = np.exp(0.5 * X[:, 0] - 0.8 * X[:, 1] * X[:, 2])
y = rng.poisson(expected)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

for loss in ("squared_error", "poisson"):
    model = MLPRegressor(
        loss=loss, hidden_layer_sizes=(50, 50), early_stopping=True, random_state=0
    )
    model.fit(X_train, y_train)
    # The deviance wants positive predictions, which only the Poisson loss promises.
    predicted = np.maximum(model.predict(X_test), 1e-3)
    deviance = mean_poisson_deviance(y_test, predicted)
    print(f"{loss:<14} {model.n_iter_:>3} epochs, Poisson deviance of the test set {deviance:.3f}")
