"""On odd input, fastnn answers as scikit-learn does, but for what README says.

`python tests/helpers/odd_comparison.py NUMBER` shows the case of that number and both answers.
"""

import fractions
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from common import (
    PROBLEMS,
    TESTS,
    assert_raises_as_scikit_learn,
    estimator_for,
    has_sklearn,
    make_problem,
    needs_sklearn,
    outcome,
    predictions,
    sample_weights,
    scikit_learn_twin,
)
from odd_comparison import THEIRS, answers, differences, is_deliberate, is_single
from odd_inputs import make_case

README = TESTS.parent / "README.md"


@dataclass
class Known:
    """A difference that README tells of, and when it is one.

    Parameters
    ----------
    readme : str
        Words of README.
    applies : callable
        Of a case and a difference.
    since, until : str
        The oldest scikit-learn that has it, and the first that has it no more.
    """

    readme: str
    applies: Any
    since: str = "1.6"
    until: str = "99"


def trains(difference):
    return "fit" in difference.call.method


def refuses(difference, words):
    """Whether only fastnn raises an error, with these words in it."""
    return difference.theirs is None and re.search(words, str(difference.ours)) is not None


def solver(case):
    return str(case.parameters["solver"])


def weight_of(call):
    return call.odd.get("weight")


def weight(difference):
    return weight_of(difference.call)


# Sizes of weights whose sum is no number, or a denormal one.
EXTREME = ("1e-310", "1e-323", "1e308")
HUGE = ("1e300", "one 1e300", "1e150", "1e30")


def is_huge(case):
    return any(call.odd.get("values", "") in HUGE for call in case.calls)


def is_in_single(case, difference):
    return is_single(case, answers(THEIRS, case.number))


def overflows(case, difference):
    """Whether scikit-learn's loss does."""
    curves = [found.attributes.get("loss_curve_", []) for found in answers(THEIRS, case.number)]
    huge = difference.call.odd.get("values", "") in HUGE
    return huge or any(np.isinf(loss) for curve in curves for loss in curve)


def is_of_longdouble(difference):
    return "longdouble" in difference.call.odd["X"] + difference.call.odd.get("y", "")


def both_refuse(difference):
    return difference.what in ("error", "message") and None not in (
        difference.theirs,
        difference.ours,
    )


KNOWN = [
    Known(
        "or is next to nothing, may spoil the fit there or stop it",
        lambda case, d: any(weight_of(call) in EXTREME for call in case.calls),
        since="1.7",
    ),
    Known(
        "where a prediction underflows to 0, the loss is infinite there",
        lambda case, d: (
            case.parameters.get("loss") == "poisson" and "value" in d.what and overflows(case, d)
        ),
        since="1.7",
    ),
    Known(
        "A mini-batch whose sample weights sum to zero stops the fit with a `ZeroDivisionError`",
        lambda case, d: isinstance(d.theirs, ZeroDivisionError),
        since="1.7",
    ),
    Known(
        "Training that diverges goes on to `max_iter`",
        lambda case, d: (
            case.parameters["early_stopping"]
            and (re.search("n_iter_|t_|loss_|scores_", d.what) or "diverged" in str(d.ours))
        ),
    ),
    Known(
        "one column becomes the target of all outputs, and `n_outputs_` stays",
        lambda case, d: d.what == "value of n_outputs_" and d.theirs == 1,
    ),
    Known(
        "with lbfgs, which takes the weights apart for it, it is an error here",
        lambda case, d: refuses(d, "y needs 1 outputs") and solver(case) == "lbfgs",
    ),
    Known(
        "A `sample_weight` that is a number may be NaN or infinite there",
        lambda case, d: weight(d) in ("NaN", "inf") and refuses(d, "Input sample_weight contains"),
        since="1.7",
    ),
    Known(
        "Numbers in longdouble are float64 here",
        lambda case, d: is_of_longdouble(d) and ("kind" in d.what or "xlogy" in str(d.theirs)),
    ),
    Known(
        "Data in float32 are trained on in float32, and by lbfgs in float64",
        lambda case, d: (
            (trains(d) or is_huge(case)) and (is_in_single(case, d) or "float32" in d.call.odd["X"])
        ),
    ),
    Known(
        "an error comes before training and says why; its type may be another",
        lambda case, d: (
            both_refuse(d)
            and (
                not is_deliberate(d.theirs)
                or "non-finite parameter weights" in str(d.theirs)
                or "does not support early_stopping" in str(d.theirs)
                or len(case.odd) > 1
            )
        ),
    ),
    # An InvalidParameterError lists what is allowed.
    Known(
        "What scikit-learn's does not have",
        lambda case, d: d.what == "message" and "parameter of" in str(d.theirs),
    ),
    # Faults of older versions, of which README does not speak.
    Known("", lambda case, d: refuses(d, "The validation set is too small"), until="1.7"),
    Known(
        "",
        lambda case, d: case.parameters["early_stopping"] and "'isnan' not" in str(d.theirs),
        until="1.7",
    ),
]
KNOWN = [known for known in KNOWN if has_sklearn(known.since) and not has_sklearn(known.until)]


# Warnings from making the cases are ignored; those from answering them are compared.
ignore_warnings = pytest.mark.filterwarnings(
    "ignore::RuntimeWarning", "ignore::PendingDeprecationWarning"
)


def unknown_differences(numbers):
    """Texts about the differences that are not known, and the known ones that were found."""
    told, used = [], []
    for number in numbers:
        case = make_case(number)
        for difference in differences(number):
            known = next((k for k in KNOWN if k.applies(case, difference)), None)
            if known is None:
                told.append(f"{case}\n{difference}")
            else:
                used.append(known)
    return told, used


@ignore_warnings
def test_odd_input():
    told, _ = unknown_differences(range(200))
    assert not told, "\n\n".join(told)


@ignore_warnings
@pytest.mark.slow
def test_more_odd_input():
    """And each difference that is known is one indeed."""
    told, used = unknown_differences(range(200, 2200))
    assert not told, "\n\n".join(told)
    assert [known.readme for known in KNOWN if known not in used] == []


def test_readme_tells_of_known_differences():
    readme = " ".join(README.read_text().split())
    for known in KNOWN:
        assert known.readme in readme


def test_cases_are_the_same_every_time():
    for number in range(30):
        assert str(make_case(number)) == str(make_case(number))


# ---- what the comparison found, one by one ---------------------------------------------

SMALL = dict(hidden_layer_sizes=(5, 3), max_iter=4, batch_size=10, random_state=0)


def assert_same_training(ours, theirs, X=None, **tolerance):
    tolerance = {"rtol": 1e-7, "atol": 1e-9} | tolerance
    assert_allclose(ours.loss_, theirs.loss_, **tolerance)
    for a, b in zip(ours.coefs_, theirs.coefs_, strict=True):
        assert_allclose(a, b, **tolerance)
    expected = {} if X is None else predictions(theirs, X)
    for name, value in expected.items():
        assert_allclose(getattr(ours, name)(X), value, **tolerance)


@needs_sklearn("1.7")
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("sign", [1, -1])
def test_negative_weights_count_as_they_are(sign, problem, solver):
    X, y = make_problem(problem)
    weights = sample_weights(len(y))
    weights[::7] *= -0.3
    ours = estimator_for(problem, **SMALL, solver=solver)
    theirs = scikit_learn_twin(ours).fit(X, y, sign * weights)
    assert_same_training(ours.fit(X, y, sign * weights), theirs, X, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("problem", ["regression", "multioutput"])
def test_lbfgs_goes_on_in_partial_fit_of_a_regressor(problem):
    X, y = make_problem(problem)
    ours = estimator_for(problem, **SMALL, solver="lbfgs")
    theirs = scikit_learn_twin(ours)
    for _ in range(3):
        ours.partial_fit(X, y)
        theirs.partial_fit(X, y)
        assert ours.n_iter_ == theirs.n_iter_ == 4
        assert_same_training(ours, theirs, X, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.coo_array])
def test_sparse_array_as_target(container):
    X, y = make_problem("multioutput")
    ours = estimator_for("multioutput", **SMALL)
    theirs = scikit_learn_twin(ours).fit(X, container(y))
    assert_same_training(ours.fit(X, container(y)), theirs, X)


@pytest.mark.parametrize(
    ("form", "loss", "error"),
    [(sparse.csr_matrix, "squared_error", ValueError), (sparse.csr_array, "huber", TypeError)],
)
def test_sparse_target_that_is_refused(form, loss, error):
    X, y = make_problem("multioutput")
    with pytest.raises(error, match=r"passed for y.*Use '.toarray\(\)'"):
        estimator_for("multioutput", **SMALL, loss=loss).fit(X, form(y))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_one_column_becomes_the_target_of_all_outputs(method):
    X, y = make_problem("multioutput")
    ours = estimator_for("multioutput", **SMALL, warm_start=True)
    theirs = scikit_learn_twin(ours).fit(X, y)
    ours.fit(X, y)
    getattr(theirs, method)(X, y[:, 1])
    assert_same_training(getattr(ours, method)(X, y[:, 1]), theirs, X)
    assert ours.predict(X).shape == y.shape


@pytest.mark.parametrize("labels", [[0, 1], [0, 1, 2], [2, 1]])
@pytest.mark.parametrize("n_labels", [2, 3])
def test_one_label_for_a_network_of_many(n_labels, labels):
    X, y = make_problem("multilabel")
    ours = estimator_for("multilabel", **SMALL)
    theirs = scikit_learn_twin(ours).partial_fit(X, y[:, :n_labels], classes=[0, 1, 2])
    ours.partial_fit(X, y[:, :n_labels], classes=[0, 1, 2])
    one = np.resize(labels, len(y))
    theirs.partial_fit(X, one)
    # Where there are two labels, scikit-learn cannot predict after it.
    assert_same_training(ours.partial_fit(X, one), theirs)
    assert ours.predict(X).shape == (len(y), n_labels)
    assert_array_equal(ours.classes_, theirs.classes_)


AS_TEXT = {
    "str": lambda X: X.astype(str),
    "bytes": lambda X: X.astype(str).astype(bytes),
    "dates": lambda X: np.round(X).astype("datetime64[D]"),
    "durations": lambda X: np.round(X).astype("timedelta64[s]"),
}


@pytest.mark.parametrize("form", AS_TEXT.values(), ids=AS_TEXT.keys())
@pytest.mark.parametrize("problem", ["multiclass", "regression"])
def test_text_and_dates_are_trained_on_and_not_predicted(problem, form):
    """A fit takes text that NumPy converts, and a prediction refuses it."""
    X, y = make_problem(problem)
    ours = estimator_for(problem, **SMALL)
    theirs = scikit_learn_twin(ours)
    if outcome(theirs.fit, form(X), y)[1] is None:
        assert_same_training(ours.fit(form(X), y), theirs, X)
    else:
        assert_raises_as_scikit_learn(
            lambda: ours.fit(form(X), y), lambda: theirs.fit(form(X), y), "float"
        )
    ours.fit(X, y)
    theirs.fit(X, y)
    for method in predictions(ours, X):
        assert_raises_as_scikit_learn(
            lambda method=method: getattr(ours, method)(form(X)),
            lambda method=method: getattr(theirs, method)(form(X)),
            "dtype='numeric' is not compatible|X must be numeric, got an array of dtype",
        )


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "float16"])
def test_small_numbers_do_not_widen_a_prediction(dtype):
    X, y = make_problem("multiclass")
    ours = estimator_for("multiclass", **SMALL)
    theirs = scikit_learn_twin(ours).fit(X.astype("float32"), y)
    ours.fit(X.astype("float32"), y)
    narrow = np.clip(np.round(2 * X), 0, 9).astype(dtype)
    actual, expected = ours.predict_proba(narrow), theirs.predict_proba(narrow)
    assert actual.dtype == expected.dtype == np.float32
    assert_allclose(actual, expected, rtol=1e-4)


SIZES = [
    (3, 2), [3], np.array([3, 2]), np.array([3], np.int8), range(2, 4), {3}, {3: "x"},
    bytearray(b"\3"), [np.array(3)], np.array([3, 2], object), np.uint8(3),
]  # fmt: skip
NO_SIZES = [
    True, [True], np.array([True]), np.array([3.0]), [2.5], 3.0, np.array(3), [[3]], [[3], 2],
    np.array([[3]]), np.array([[3], [2]]), "3", ["3"], [None], [0], [3, -1], [-2.5], iter([3]),
]  # fmt: skip


@pytest.mark.parametrize("sizes", SIZES, ids=repr)
def test_forms_of_hidden_layer_sizes(sizes):
    X, y = make_problem("regression")
    ours = estimator_for("regression", **SMALL | {"hidden_layer_sizes": sizes})
    assert_same_training(ours.fit(X, y), scikit_learn_twin(ours).fit(X, y), X)


@pytest.mark.parametrize("sizes", NO_SIZES, ids=repr)
def test_what_is_no_hidden_layer_sizes(sizes):
    X, y = make_problem("regression")
    ours = estimator_for("regression", **SMALL)
    # Not of a copy, which an iterator does not have.
    theirs = scikit_learn_twin(ours).set_params(hidden_layer_sizes=sizes)
    ours.set_params(hidden_layer_sizes=sizes)
    assert_raises_as_scikit_learn(
        lambda: ours.fit(X, y), lambda: theirs.fit(X, y), "hidden_layer_sizes.* must be"
    )


@needs_sklearn("1.7")
@pytest.mark.parametrize("weight", [1j, fractions.Fraction(1, 2)])
def test_a_weight_that_is_no_real_number(weight):
    X, y = make_problem("regression")
    ours = estimator_for("regression", **SMALL)
    theirs = scikit_learn_twin(ours)
    assert_raises_as_scikit_learn(
        lambda: ours.fit(X, y, weight), lambda: theirs.fit(X, y, weight), "must be of real numbers"
    )


def test_an_undefined_loss_of_lbfgs_is_told():
    X, y = make_problem("regression")
    ours = estimator_for("regression", **SMALL, solver="lbfgs").fit(X, y)
    huge = X * 1e300
    with np.errstate(all="ignore"):
        theirs = scikit_learn_twin(ours).fit(huge, y)
    assert_array_equal(ours.fit(huge, y).loss_, theirs.loss_)
