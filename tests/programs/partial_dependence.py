"""A regressor with early stopping shows how it depends on single features and on two together."""

import numpy as np
from sklearn.datasets import make_friedman1
from sklearn.inspection import partial_dependence
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

X, y = make_friedman1(n_samples=2000, n_features=8, noise=0.5, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(X, y - y.mean(), random_state=0)
network = MLPRegressor(
    hidden_layer_sizes=(30, 15), learning_rate_init=0.01, early_stopping=True, random_state=0
)
model = make_pipeline(QuantileTransformer(n_quantiles=100), network).fit(X_train, y_train)
print(f"Test R2: {model.score(X_test, y_test):.6f} after {network.n_iter_} epochs")
for features in (0, 2, 3, (0, 1)):
    found = partial_dependence(model, X_train, features=features, grid_resolution=5)
    print(features, np.round(found["average"], 4).ravel().tolist())
