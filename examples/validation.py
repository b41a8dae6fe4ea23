"""A rare class, a validation set of one's own, the score that decides, a time limit.

    python examples/validation.py

Two percent of the samples are of the class that matters, so accuracy says nothing: a network that
never finds one is right 98 times of 100. Class weights make the rare samples count, average
precision on a validation set says when to stop, and the best weights are kept.
"""

from sklearn.datasets import make_classification
from sklearn.metrics import average_precision_score, balanced_accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from fastnn import MLPClassifier


def main():
    X, y = make_classification(
        20_000, 30, n_informative=12, weights=[0.98], class_sep=1.5, random_state=0
    )
    X_train, X_rest, y_train, y_rest = train_test_split(X, y, test_size=0.5, random_state=0)
    X_val, X_test, y_val, y_test = train_test_split(X_rest, y_rest, test_size=0.5, random_state=0)
    scaler = StandardScaler().fit(X_train)
    X_train, X_val, X_test = map(scaler.transform, (X_train, X_val, X_test))

    for class_weight in (None, "balanced"):
        model = MLPClassifier(
            (64, 64),
            class_weight=class_weight,
            early_stopping=True,
            scoring="average_precision",
            max_time=60,
            random_state=0,
        )
        model.fit(X_train, y_train, X_val=X_val, y_val=y_val)
        precision = average_precision_score(y_test, model.predict_proba(X_test)[:, 1])
        accuracy = balanced_accuracy_score(y_test, model.predict(X_test))
        print(f"class_weight={class_weight!r}")
        print(f"  {model.stop_reason_} The best of {model.n_iter_} was epoch {model.best_epoch_}.")
        print(f"  test: average precision {precision:.3f}, balanced accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
