"""scikit-learn's callbacks: a task for each epoch, alone and inside other tools."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from common import assert_same_model, left_as_it_was, make_problem
from fastnn import MLPClassifier, MLPRegressor

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9")

SMALL = dict(hidden_layer_sizes=(8,), random_state=0)
both_kinds_of_solver = pytest.mark.parametrize("solver", ["adam", "lbfgs"])


class Recorder:
    """Keeps what it is told; asks to stop after some epochs, or fails in one."""

    def __init__(self, stop_after=None, fail_in=None):
        self.stop_after, self.fail_in = stop_after, fail_in
        self.events, self.fitted = [], []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X, y, metadata):
        self.data = X, y, metadata
        self.events.append(f"begin {context.task_name} {context.task_id}")

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.events.append(f"end {context.task_name} {context.task_id}")
        if context.parent is None:
            if self.fail_in == "the end":
                raise RuntimeError("enough")
            return False
        if fitted_estimator is not None:
            self.fitted.append(fitted_estimator)
        if len(self.fitted) == self.fail_in:
            raise RuntimeError("enough")
        return len(self.fitted) == self.stop_after


class Everywhere(Recorder):
    """The same, handed on by other tools to what they fit."""

    max_propagation_depth = None


@both_kinds_of_solver
def test_a_task_for_each_epoch(solver):
    X, y = make_problem("regression")
    recorder = Recorder()
    model = MLPRegressor(**SMALL, solver=solver, max_iter=3).set_callbacks(recorder)
    weight = np.ones(len(y))
    model.fit(X, y, weight)
    unit = "epoch" if solver == "adam" else "iteration"
    tasks = [f"{what} {unit} {i}" for i in range(3) for what in ("begin", "end")]
    assert recorder.events == ["setup", "begin fit 0", *tasks, "end fit 0", "teardown"]
    assert recorder.data[0] is X and recorder.data[1] is y
    assert recorder.data[2]["sample_weight"] is weight
    for k, fitted in enumerate(recorder.fitted, start=1):
        alone = MLPRegressor(**SMALL, solver=solver, max_iter=k).fit(X, y)
        np.testing.assert_allclose(fitted.predict(X), alone.predict(X), rtol=1e-9, atol=1e-12)
        # As if training had ended there.
        assert fitted.n_iter_ == len(fitted.loss_curve_) == k
        assert fitted.loss_ == model.loss_curve_[k - 1]
        assert fitted.t_ == (k * len(y) if solver == "adam" else 0)
    assert_same_model(recorder.fitted[-1], model, X)


@both_kinds_of_solver
def test_a_callback_asks_to_stop(solver):
    X, y = make_problem("binary")
    model = MLPClassifier(**SMALL, solver=solver).set_callbacks(Recorder(stop_after=4))
    model.fit(X, y)
    assert model.n_iter_ == len(model.loss_curve_) == 4
    assert model.stop_reason_ == "A callback asked to stop."


@both_kinds_of_solver
def test_every_task_that_begins_ends(solver):
    """Also where training stops by itself."""
    X, y = make_problem("binary")
    recorder = Recorder()
    MLPClassifier(**SMALL, solver=solver, tol=0.1).set_callbacks(recorder).fit(X, y)
    assert sum(e.startswith("begin") for e in recorder.events) == sum(
        e.startswith("end") for e in recorder.events
    )
    assert len(recorder.fitted) > 1


@both_kinds_of_solver
@pytest.mark.parametrize("fail_in", [2, "the end"])
def test_a_failing_callback_leaves_the_model(solver, fail_in):
    X, y = make_problem("regression")
    model = MLPRegressor(**SMALL, max_iter=5).fit(X, y)
    recorder = Recorder(fail_in=fail_in)
    with left_as_it_was(model, X, y), pytest.raises(RuntimeError, match="enough"):
        model.set_params(solver=solver).set_callbacks(recorder)
        try:
            model.fit(X, y)
        finally:
            model.set_callbacks().set_params(solver="adam")
    assert recorder.events[-1] == "teardown"


def test_partial_fit_is_one_epoch():
    X, y = make_problem("regression")
    recorder = Recorder()
    model = MLPRegressor(**SMALL).set_callbacks(recorder)
    model.partial_fit(X, y).partial_fit(X, y)
    once = ["setup", "begin partial_fit 0", "begin epoch 0", "end epoch 0", "end partial_fit 0"]
    assert recorder.events == [*once, "teardown"] * 2
    assert_same_model(model, MLPRegressor(**SMALL).partial_fit(X, y).partial_fit(X, y), X)


def test_callbacks_change_nothing():
    X, y = make_problem("multiclass")
    model = MLPClassifier(**SMALL, dropout=0.2, batch_norm=True, weight_average=0.9)
    watched = clone(model).set_callbacks(Recorder()).fit(X, y)
    assert_same_model(watched, model.fit(X, y), X)
    assert watched.loss_curve_ == model.loss_curve_
    assert watched.get_params() == model.get_params()


def test_a_diverging_fit_is_not_shown_its_weights():
    """A callback that scores would fail on them; the fit itself ends with the best weights."""
    X, y = make_problem("regression", n_samples=100)
    model = MLPRegressor(
        hidden_layer_sizes=20,
        activation="identity",
        solver="sgd",
        learning_rate_init=100.0,
        random_state=0,
    ).set_callbacks(callback.ScoringMonitor(scoring="r2"))
    with pytest.warns(ConvergenceWarning, match="Training diverged"):
        model.fit(X[:70], y[:70], X_val=X[70:], y_val=y[70:])
    assert np.isfinite(model.predict(X)).all()


@both_kinds_of_solver
def test_scoring_monitor(solver):
    X, y = make_problem("binary")
    monitor = callback.ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    model = MLPClassifier(**SMALL, solver=solver, max_iter=4).set_callbacks(monitor).fit(X, y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] != "fit"]
    assert len(rows) == 4
    assert rows[-1]["accuracy"] == model.score(X, y)
    assert rows[-1]["neg_log_loss"] > rows[0]["neg_log_loss"]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_inside_a_search(n_jobs):
    X, y = load_digits(return_X_y=True)
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = make_pipeline(StandardScaler(), MLPClassifier(**SMALL, max_iter=3))
    model[-1].set_callbacks(monitor)
    search = GridSearchCV(model, {"mlpclassifier__alpha": [1e-4, 1e-2]}, cv=2, n_jobs=n_jobs)
    search.fit(X[:300], y[:300])
    rows = [r for log in monitor.get_logs(select="all") for r in log.data]
    # Four fits, and the best again; three epochs each.
    assert sum(row["task_name"] == "epoch" for row in rows) == 15


def test_handed_on_by_a_pipeline_and_a_search():
    X, y = make_problem("binary")
    recorder = Everywhere()
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**SMALL, max_iter=3))
    pipeline.set_callbacks(recorder).fit(X, y)
    assert [e for e in recorder.events if "epoch" in e] == [
        f"{what} epoch {i}" for i in range(3) for what in ("begin", "end")
    ]
    recorder = Everywhere()
    search = GridSearchCV(clone(pipeline).set_callbacks(), {"mlpclassifier__alpha": [0.1, 1]}, cv=2)
    search.set_callbacks(recorder).fit(X, y)
    assert sum(e.startswith("begin epoch") for e in recorder.events) == 15


def test_progress_bar(capsys):
    pytest.importorskip("rich")
    X, y = make_problem("binary")
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**SMALL, max_iter=3))
    pipeline.set_callbacks(callback.ProgressBar()).fit(X, y)
    assert "MLPClassifier - fit" in capsys.readouterr().out


def test_estimators_with_callbacks_are_pickled_and_cloned():
    X, y = make_problem("binary")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = MLPClassifier(**SMALL, max_iter=3).set_callbacks(monitor).fit(X, y)
    assert_same_model(pickle.loads(pickle.dumps(model)), model, X)
    assert clone(model)._skl_callbacks == [monitor]


def test_what_is_no_callback():
    with pytest.raises(TypeError, match="callbacks must be instances"):
        MLPClassifier().set_callbacks(print)
