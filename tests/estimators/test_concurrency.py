"""One estimator in many threads: predictions are of one fit or the other, never of both."""

import sys
import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastnn
from common import estimator_for, make_problem, predictions

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def frequent_switches():
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def run_together(*functions):
    """Call functions in threads of their own at once; return what they raised."""
    errors = []

    def guarded(function):
        try:
            function()
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=guarded, args=(function,)) for function in functions]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return errors


def assert_predicts_as_one_of(kinds, fit, predict, n_fits):
    """While ``fit(i)`` goes through the kinds, every prediction is that of one of them."""
    expected = []
    for i in range(kinds):
        fit(i)
        expected.append(predict())
    done = threading.Event()
    foreign = []

    def fit_often():
        try:
            for i in range(n_fits):
                fit(i % kinds)
        finally:
            done.set()

    def predict_often():
        while not done.is_set():
            said = predict()
            if not any(np.array_equal(said, one) for one in expected):
                foreign.append(said)

    assert run_together(fit_often, predict_often, predict_often) == []
    assert foreign == []
    # Nor is anything wrong for good.
    assert any(np.array_equal(predict(), one) for one in expected)


@pytest.mark.parametrize("dtype", ["auto", pytest.param("float32", marks=pytest.mark.slow)])
@pytest.mark.parametrize("problem", ["binary", "multiclass", "regression"])
def test_predictions_while_another_thread_fits(problem, dtype, frequent_switches):
    """The networks have other widths, activations and labels, and other kinds of them."""
    X, y = make_problem(problem)
    kinds = [
        ({"hidden_layer_sizes": (9,), "activation": "relu"}, y),
        ({"hidden_layer_sizes": (3, 4), "activation": "tanh"}, y[::-1]),
        ({"hidden_layer_sizes": (), "activation": "tanh"}, y + 5 if problem != "binary" else y),
    ]
    model = estimator_for(problem, max_iter=1, random_state=0, dtype=dtype)

    def fit(i):
        # Not by set_params: that is a change by hand, of one attribute after another.
        params, target = kinds[i]
        twin = estimator_for(problem, **model.get_params() | params)
        twin.fit(X, target)
        before = vars(model).copy()
        model._take_over(twin, before)

    assert_predicts_as_one_of(len(kinds), fit, lambda: model.predict(X), 60)


@pytest.mark.parametrize("problem", ["binary", "multiclass", "regression"])
def test_fit_and_partial_fit_change_everything_at_once(problem, frequent_switches):
    X, y = make_problem(problem)
    targets = [y, y[::-1], np.roll(y, 7)]
    model = estimator_for(problem, hidden_layer_sizes=(5,), max_iter=2, random_state=0)
    method = "predict" if problem == "regression" else "predict_proba"
    assert_predicts_as_one_of(
        3, lambda i: model.fit(X, targets[i]), lambda: getattr(model, method)(X), 60
    )


def test_labels_of_another_fit(frequent_switches):
    """Labels go with the network that has learned them."""
    X, y = make_problem("binary")
    labels = [np.array(["a", "b"]), np.array(["c", "d", "e"]), np.array([10, 20, 30, 40])]
    model = fastnn.MLPClassifier((4,), max_iter=2, random_state=0)

    def fit(i):
        model.fit(X, labels[i][np.arange(len(X)) % len(labels[i])])

    assert_predicts_as_one_of(3, fit, lambda: model.predict(X), 60)


def test_perceptron(frequent_switches):
    X, y = make_problem("multiclass")
    targets = [y, np.where(y > 1, "a", "b"), y[::-1]]
    model = fastnn.Perceptron(max_iter=2, random_state=0)
    with pytest.warns(UserWarning, match="Maximum number"):
        assert_predicts_as_one_of(
            3, lambda i: model.fit(X, targets[i]), lambda: model.predict(X), 60
        )


def test_fits_of_one_estimator_in_several_threads(frequent_switches):
    """One of them comes last; what there is then is all its own."""
    X, y = make_problem("multiclass")
    targets = [y, y[::-1], y % 2]
    model = fastnn.MLPClassifier((5,), max_iter=3, random_state=0)
    expected = [predictions(model.fit(X, target), X) for target in targets]
    for _ in range(10):
        assert run_together(*(lambda t=t: model.fit(X, t) for t in targets)) == []
        said = predictions(model, X)
        assert any(all(np.array_equal(said[name], one[name]) for name in one) for one in expected)


def test_parameters_set_during_a_fit_stay():
    X, y = make_problem("binary")

    class SetMeanwhile(fastnn.MLPClassifier):
        def _initialize(self, *args):
            model.set_params(max_iter=77)
            super()._initialize(*args)

    model = SetMeanwhile((4,), max_iter=2, random_state=0)
    assert model.fit(X, y).max_iter == 77
    assert model.n_iter_ == 2


def test_what_a_program_notes_during_a_fit_stays():
    X, y = make_problem("binary")

    def rate(progress):
        model.progress, model.n_calls = progress, model.n_calls + 1
        vars(model).pop("forgotten", None)
        return 1.0

    model = fastnn.MLPClassifier((4,), max_iter=2, random_state=0, learning_rate=rate)
    model.progress, model.n_calls, model.forgotten = None, 0, True
    model.fit(X, y)
    assert model.progress is not None and model.n_calls > 0
    assert not hasattr(model, "forgotten")


def test_a_fit_changes_nothing_before_its_end():
    X, y = make_problem("binary")
    model = fastnn.MLPClassifier((4,), max_iter=2, random_state=0).fit(X, y)
    said, seen = model.predict_proba(X), []

    def rate(progress):
        seen.append((model.predict_proba(X), model.n_features_in_, model.classes_))
        return 1.0

    model.set_params(learning_rate=rate).fit(X[:, :3], np.where(y == 1, "a", "b"))
    assert len(seen) > 0
    for probabilities, n_features, classes in seen:
        assert_array_equal(probabilities, said)
        assert n_features == 7 and classes.tolist() == [0, 1]
    assert model.n_features_in_ == 3


def test_predictions_while_another_thread_fails_to_fit(frequent_switches):
    X, y = make_problem("binary")
    model = fastnn.MLPClassifier((4,), max_iter=2, random_state=0).fit(X, y)
    said = model.predict_proba(X)

    def fail():
        for _ in range(200):
            with pytest.raises(ValueError, match="NaN"):
                model.fit(np.full_like(X, np.nan), y)

    def predict():
        for _ in range(1000):
            assert_array_equal(model.predict_proba(X), said)

    assert run_together(fail, predict) == []
