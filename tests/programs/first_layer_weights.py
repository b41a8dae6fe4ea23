"""Training on digits with a line for each epoch, and the weights of the first layer."""

import warnings

from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, test_size=0.7, random_state=0)
network = MLPClassifier(
    hidden_layer_sizes=(40,),
    max_iter=8,
    alpha=1e-4,
    solver="sgd",
    verbose=10,
    random_state=1,
    learning_rate_init=0.2,
)
with warnings.catch_warnings():
    # Too few epochs, which is enough for a picture.
    warnings.filterwarnings("ignore", category=ConvergenceWarning, module="sklearn")
    network.fit(X_train, y_train)
print(f"Training set score: {network.score(X_train, y_train):.6f}")
print(f"Test set score: {network.score(X_test, y_test):.6f}")
low, high = network.coefs_[0].min(), network.coefs_[0].max()
print(f"From {low:.6f} to {high:.6f}")
for weights in network.coefs_[0].T[:16]:
    print(" ".join(f"{weight:.4f}" for weight in weights.reshape(8, 8)[4]))
