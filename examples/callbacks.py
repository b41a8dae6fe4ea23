"""scikit-learn's callbacks: a score after every epoch, and one's own rule for when to stop.

    python examples/callbacks.py    # needs scikit-learn 1.9; with rich, also a progress bar

The same callbacks work on a Pipeline or a grid search that has the network inside.
"""

from importlib.util import find_spec

from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import MLPClassifier


class StopAt:
    """Asks to stop once the training loss is low enough."""

    def __init__(self, loss):
        self.loss = loss

    def setup(self, estimator, context):
        """Nothing to prepare."""

    def on_fit_task_begin(self, estimator, context):
        """Nothing to do when an epoch begins."""

    def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
        if context.task_name != "epoch":
            return False
        probabilities = fitted_estimator.predict_log_proba(X)
        return -probabilities[range(len(y)), y].mean() < self.loss

    def teardown(self, estimator, context):
        """Nothing to clean up."""


def main():
    X, y = load_digits(return_X_y=True)
    monitor = ScoringMonitor(scoring="accuracy")
    network = MLPClassifier(random_state=0).set_callbacks(monitor, StopAt(0.05))
    model = make_pipeline(StandardScaler(), network)
    if find_spec("rich") is not None:
        model.set_callbacks(ProgressBar())
    model.fit(X, y)
    print(f"{network.stop_reason_} {network.n_iter_} epochs; training accuracy after each:")
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    print(" ".join(f"{row['accuracy']:.3f}" for row in rows))


if __name__ == "__main__":
    main()
