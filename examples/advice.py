"""Advice on data that is not scaled and on parameters that do nothing, and why.

python examples/advice.py
"""

import warnings

from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_wine
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import MLPClassifier, MLPRegressor
from fastnn.exceptions import AdviceWarning


def score(title, model, X, y):
    """Print the mean score of five folds, and what was advised meanwhile."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AdviceWarning)
        mean = cross_val_score(model, X, y, cv=5, error_score="raise").mean()
    print(f"{title}: {mean:.2f}")
    for message in sorted({str(w.message) for w in caught if w.category is AdviceWarning}):
        print(f"    {message}")


def main():
    X, y = load_wine(return_X_y=True, as_frame=True)
    network = MLPClassifier(max_iter=500, momentum=0.5, random_state=0)
    score("wine as it is, accuracy", network, X, y)
    network.set_params(momentum=0.9)
    score("wine scaled, accuracy", make_pipeline(StandardScaler(), network), X, y)

    X, y = load_diabetes(return_X_y=True)
    network = make_pipeline(StandardScaler(), MLPRegressor(max_iter=100, alpha=10, random_state=0))
    score("diabetes with y as it is, R2", network, X, y)
    network = TransformedTargetRegressor(network, transformer=StandardScaler())
    score("diabetes with y scaled, R2", network, X, y)


if __name__ == "__main__":
    main()
