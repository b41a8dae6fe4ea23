"""Warnings: those of scikit-learn's come under its module, all point at the user's line."""

import re
import subprocess
import sys
import threading
import types
import warnings
from inspect import currentframe

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Perceptron as TheirPerceptron
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import _multilayer_perceptron as theirs
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastnn
from common import (
    ESTIMATORS,
    child_environment,
    make_problem,
    needs_sklearn,
    run_python,
    scikit_learn_twin,
)
from fastnn import MLPClassifier, MLPRegressor, notices
from fastnn.estimators import advice
from fastnn.exceptions import AdviceWarning
from reference_backend import Recorder, use_backend

X, y = make_problem("binary")
SHORT = dict(hidden_layer_sizes=(3,), max_iter=2, random_state=0)
IGNORED = dict(SHORT, momentum=0.5)  # which adam does not use


@pytest.fixture(autouse=True)
def _nothing_given_yet(monkeypatch):
    monkeypatch.setattr(notices._Advice, "given_among_others", set())
    monkeypatch.setattr(advice, "_said", set())


def caught(call, *args, **filters):
    """The warnings of a call, under a filter that ignores some."""
    with warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("always")
        if filters:
            warnings.filterwarnings("ignore", **filters)
        call(*args)
    return records


def what(records):
    return [(record.category, str(record.message)) for record in records]


def line():
    """The number of the line that calls this."""
    return currentframe().f_back.f_lineno


# ---- those that scikit-learn gives, too --------------------------------------------------

LBFGS = needs_sklearn("1.7")  # before which it warns in other words
GIVEN = [
    pytest.param(MLPClassifier(**SHORT), y, id="max_iter"),
    pytest.param(MLPClassifier(**SHORT, batch_size=500), y, id="batch_size"),
    pytest.param(MLPClassifier(**SHORT), y[:, None], id="column"),
    pytest.param(MLPRegressor(**SHORT), X[:, :1], id="column of targets"),
    pytest.param(MLPClassifier(**SHORT, solver="lbfgs"), y, id="lbfgs", marks=LBFGS),
    pytest.param(MLPRegressor(**SHORT, solver="lbfgs"), X[:, 0], id="lbfgs, reg", marks=LBFGS),
    pytest.param(MLPClassifier(**SHORT), np.arange(len(y)) // 2 * 2, id="many classes"),
]
FILTERS = [
    {"module": "sklearn"},
    {"module": r"sklearn\.neural_network"},
    {"module": r"sklearn\.neural_network\._multilayer_perceptron$"},
    {"module": "sklearn", "category": ConvergenceWarning},
    {"module": r"sklearn\.utils"},
    {"module": "fastnn"},
    {"message": "Stochastic Optimizer"},
]


@pytest.mark.parametrize("model, y", GIVEN)
@pytest.mark.filterwarnings("ignore:The `disp` and `iprint`:DeprecationWarning")
def test_the_same_warnings_by_the_same_filters(model, y):
    twin = scikit_learn_twin(model)
    assert what(caught(model.fit, X, y)) == what(caught(twin.fit, X, y)) != []
    for chosen in FILTERS:
        expected = what(caught(twin.fit, X, y, **chosen))
        assert what(caught(model.fit, X, y, **chosen)) == expected, chosen


@pytest.mark.parametrize("model, y", GIVEN)
def test_they_point_at_the_line_of_the_fit(model, y):
    with warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("always")
        model.fit(X, y); expected = line()  # fmt: skip  # noqa: E702
    assert records
    assert {(record.filename, record.lineno) for record in records} == {(__file__, expected)}


def test_an_interrupted_fit(monkeypatch):
    use_backend(monkeypatch, Recorder(KeyboardInterrupt(), epoch=2))
    ours = caught(MLPClassifier(**SHORT).fit, X, y)

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(theirs.MLPClassifier, "_backprop", interrupted)
    expected = caught(theirs.MLPClassifier(**SHORT).fit, X, y)
    assert what(ours) == what(expected) == [(UserWarning, "Training interrupted by user.")]
    use_backend(monkeypatch, Recorder(KeyboardInterrupt(), epoch=2))
    assert caught(MLPClassifier(**SHORT).fit, X, y, module="sklearn") == []


def test_perceptron():
    """It does not converge, in words of its own that begin as scikit-learn's; and no more."""
    labels = np.arange(len(y)) // 2 * 2
    ours, expected = (
        caught(cls(max_iter=1).fit, X, labels) for cls in (fastnn.Perceptron, TheirPerceptron)
    )
    (one,), (other,) = ours, expected
    assert one.category is other.category is ConvergenceWarning
    assert str(one.message).startswith(str(other.message))
    assert caught(fastnn.Perceptron(max_iter=1).fit, X, labels, module="sklearn.linear_mo") == []


@pytest.mark.parametrize("wrap", ["pipeline", "search", "threads", "nested"])
def test_the_line_is_the_users_through_whatever_calls_the_fit(wrap):
    model = make_pipeline(StandardScaler(), MLPClassifier(**SHORT))
    if wrap in ("search", "nested"):
        model = GridSearchCV(model, {"mlpclassifier__alpha": [0.1]}, cv=2, refit=True)
    if wrap == "nested":
        model = make_pipeline(StandardScaler(), model)
    fit = model.fit
    if wrap == "threads":
        # The innermost line of the program that is in the thread.
        fit = lambda X, y: model.fit(X, y)  # noqa: E731
        expected = line() - 1
    with warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("always")
        if wrap == "threads":
            thread = threading.Thread(target=fit, args=(X, y))
            thread.start()
            thread.join()
        else:
            fit(X, y); expected = line()  # fmt: skip  # noqa: E702
    assert records
    assert {(record.filename, record.lineno) for record in records} == {(__file__, expected)}


def test_a_thread_without_a_line_of_the_users():
    with warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("always")
        model = MLPClassifier(**SHORT)
        thread = threading.Thread(target=model.fit, args=(X, y))
        thread.start()
        thread.join()
    assert what(records) == what(caught(scikit_learn_twin(model).fit, X, y))
    assert "fastnn" not in records[0].filename.rsplit("/", 2)[-2:]
    assert caught(model.fit, X, y, module="sklearn") == []


@pytest.mark.parametrize("give", [notices.warn, notices.advise])
def test_by_default_once_for_a_line(give):
    with warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("default")
        for _ in range(3):
            give("something")
        give("something")
    assert len(records) == 2


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_by_default_as_often_as_scikit_learn(Estimator):
    """Its checks of data reset what Python remembers of a line."""
    counts = []
    for model in (Estimator(**SHORT), scikit_learn_twin(Estimator(**SHORT))):
        with warnings.catch_warnings(record=True) as records:
            warnings.simplefilter("default")
            for _ in range(3):
                model.fit(X, y)
        counts.append(len(records))
    assert counts[0] == counts[1] > 0


def test_an_error_leaves_the_model_as_it_was():
    model = MLPClassifier(**SHORT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning):
            model.fit(X, y)
        warnings.filterwarnings("ignore", module="sklearn")
        model.fit(X, y)
    with pytest.warns(ConvergenceWarning), pytest.raises(AttributeError):
        model.fit(X, y).no_such_attribute  # noqa: B018


def test_a_function_in_the_place_of_warn(monkeypatch):
    """As programs do that want no warning of scikit-learn's."""
    monkeypatch.setattr(warnings, "warn", lambda *args, **kwargs: None)
    assert caught(MLPClassifier(**IGNORED).fit, X, y) == []


FIT = (
    f"from fastnn import MLPClassifier\nMLPClassifier(**{IGNORED}).fit({X.tolist()}, {y.tolist()})"
)


def child(*options, code=FIT):
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_options_of_python():
    shown = child().stderr
    assert re.findall(r"<string>:2: (\w+): ", shown) == ["AdviceWarning", "ConvergenceWarning"]
    shown = child("-W", "ignore::UserWarning:sklearn.neural_network._multilayer_perceptron").stderr
    assert "AdviceWarning" in shown and "ConvergenceWarning" not in shown
    shown = child("-W", "ignore::UserWarning:fastnn").stderr
    assert "AdviceWarning" not in shown and "ConvergenceWarning" in shown
    failed = child("-W", "error")
    assert failed.returncode == 1 and "fastnn.exceptions.AdviceWarning: Some" in failed.stderr


NOWHERE = """
import json, os, sys
from fastnn import MLPClassifier
closed = open(os.devnull)
closed.close()
done = []
for sys.stderr in (closed, None, object()):
    done.append(MLPClassifier(max_iter=2).fit([[0.0], [1.0]], [0, 1]).n_iter_)
sys.stderr = sys.__stderr__
print(json.dumps(done))
"""


@pytest.mark.slow
def test_no_fit_is_lost_for_a_stderr_that_takes_no_warning():
    assert run_python(NOWHERE) == [2, 2, 2]


# ---- advice ------------------------------------------------------------------------------


def test_advice_has_a_category_of_its_own():
    with warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", ConvergenceWarning)
        MLPClassifier(**IGNORED).fit(X * 1000, y); expected = line()  # fmt: skip  # noqa: E702
    ignored, unscaled = records
    assert {record.category for record in records} == {AdviceWarning}
    assert {(record.filename, record.lineno) for record in records} == {(__file__, expected)}
    assert "momentum" in str(ignored.message) and "X is not scaled" in str(unscaled.message)


def test_programs_can_except_it_from_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(2):
            with pytest.raises(AdviceWarning):
                MLPClassifier(**IGNORED).fit(X, y)
        warnings.simplefilter("ignore", AdviceWarning)
        MLPClassifier(**IGNORED).fit(X, y)


def test_a_search_gives_it_once():
    """For a line of the program, though scikit-learn resets what Python's filter remembers."""
    search = GridSearchCV(MLPClassifier(**IGNORED), {"alpha": [1e-4, 1e-2, 1.0]}, cv=3)
    with warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("default")
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(X, y)
        cross_val_score(MLPClassifier(**IGNORED), X, y, cv=3)
    of_search, of_scores = records
    assert of_search.lineno == of_scores.lineno - 1


def test_none_is_lost_while_it_is_not_wanted():
    model = MLPClassifier(**SHORT)
    with fastnn.patch_sklearn():
        assert what(caught(model.fit, X * 1000, y)) == what(caught(model.fit, X, y))
    (unscaled, _) = caught(model.fit, X * 1000, y)
    assert unscaled.category is AdviceWarning


def categories(model, X=X, y=y):
    return [record.category for record in caught(model.fit, X, y)]


def test_a_program_on_scikit_learn_hears_what_scikit_learn_says():
    model = MLPClassifier(**IGNORED)
    both, without = [AdviceWarning, ConvergenceWarning], [ConvergenceWarning]
    assert categories(model) == both
    with fastnn.patch_sklearn():
        assert categories(model) == without
        with fastnn.patch_sklearn(advice=True):
            assert categories(model) == both
        assert categories(model) == without
        fastnn.patch_sklearn(advice=True)
        assert categories(model) == both
    assert categories(model) == both
    fastnn.patch_sklearn()
    fastnn.unpatch_sklearn()
    assert categories(model) == both


class Told(MLPClassifier):
    """Keeps the warnings of its fits, for what runs in another process."""

    def fit(self, X, y):
        with warnings.catch_warnings(record=True) as records:
            warnings.simplefilter("always")
            super().fit(X, y)
        self.told_ = [record.category.__name__ for record in records]
        return self


def told(estimator, X, y):
    """A scorer that says whether the fit gave advice."""
    return float("AdviceWarning" in estimator.told_)


@pytest.mark.slow
def test_workers_do_as_the_process_that_started_them():
    def advised():
        scores = cross_val_score(Told(**IGNORED), X, y, cv=2, n_jobs=2, scoring=told)
        return scores.tolist()

    assert advised() == [1.0, 1.0]
    with fastnn.patch_sklearn():
        assert advised() == [0.0, 0.0]
    assert advised() == [1.0, 1.0]


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_command_line_asks_for_it(tmp_path, n_jobs):
    (tmp_path / "program.py").write_text(
        "from sklearn.model_selection import cross_val_score\n"
        "from sklearn.neural_network import MLPClassifier\n"
        "if __name__ == '__main__':\n"
        f"    model = MLPClassifier(**{IGNORED})\n"
        f"    cross_val_score(model, {X.tolist()}, {y.tolist()}, n_jobs={n_jobs})\n"
    )
    program = str(tmp_path / "program.py")
    for options in ([], ["--advice"], ["--stats", "--advice"]):
        run = subprocess.run(
            [sys.executable, "-m", "fastnn", *options, program],
            env=child_environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert run.returncode == 0, run.stderr
        assert ("AdviceWarning" in run.stderr) == ("--advice" in options)
        assert "ConvergenceWarning" in run.stderr


# ---- who called ----------------------------------------------------------------------------


def test_frames_of_pythons_own_library_are_not_the_users():
    assert notices._is_pythons(threading.__file__)
    assert notices._is_pythons("<frozen runpy>")
    assert not notices._is_pythons(np.__file__)
    assert not notices._is_pythons("<stdin>")


def test_code_without_a_file():
    """As in a notebook or a prompt."""
    namespace = vars(types.ModuleType("prompt"))
    namespace = vars(types.ModuleType("prompt")) | dict(model=MLPClassifier(**SHORT), X=X, y=y)
    with warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("always")
        exec(compile("\n\nmodel.fit(X, y)", "<cell>", "exec"), namespace)
    assert {(record.filename, record.lineno) for record in records} == {("<cell>", 3)}
