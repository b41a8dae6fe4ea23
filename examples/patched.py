"""A program that knows scikit-learn only; fastnn does its training all the same.

python examples/patched.py                      # scikit-learn's network
python -m fastnn --stats examples/patched.py    # fastnn's, and what it trained
"""

from time import perf_counter

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main():
    X_train, X_test, y_train, y_test = train_test_split(
        *load_digits(return_X_y=True), random_state=0
    )
    search = GridSearchCV(
        make_pipeline(StandardScaler(), MLPClassifier(early_stopping=True, random_state=0)),
        {
            "mlpclassifier__hidden_layer_sizes": [(50,), (100,)],
            "mlpclassifier__alpha": [1e-4, 1e-2],
        },
        n_jobs=2,
    )
    begin = perf_counter()
    search.fit(X_train, y_train)
    seconds = perf_counter() - begin
    print(f"{MLPClassifier.__module__}: best parameters {search.best_params_}")
    print(f"test accuracy {search.score(X_test, y_test):.4f}, grid search {seconds:.2f} s")


if __name__ == "__main__":
    main()
