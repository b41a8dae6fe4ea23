"""Bad input raises what scikit-learn raises, says why, and leaves a fitted model as it was."""

import copy

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import NotFittedError

from common import (
    assert_raises_as_scikit_learn,
    estimator_for,
    fitted_attributes,
    left_as_it_was,
    make_problem,
    needs_sklearn,
    predictions,
    scikit_learn_twin,
)
from fastnn import MLPRegressor
from fastnn.exceptions import AdviceWarning

PARAMS = dict(hidden_layer_sizes=(5,), batch_size=16, max_iter=4, random_state=0)
N_SAMPLES, N_FEATURES = 40, 7

both_kinds = pytest.mark.parametrize("problem", ["multiclass", "regression"])
fit_methods = pytest.mark.parametrize("method", ["fit", "partial_fit"])
pytestmark = [
    # scikit-learn's side of the diverging fits.
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1"),
]


def make_data(problem):
    return make_problem(problem, n_samples=N_SAMPLES, n_features=N_FEATURES)


def with_value(array, value):
    """A copy of an array, as float, with one wrong value in it."""
    array = np.array(array, dtype=float)
    array[(3,) * array.ndim] = value
    return array


# Name: (what makes X bad, what the message has to say).
BAD_X = {
    "NaN": (lambda X: with_value(X, np.nan), "Input X contains NaN"),
    "infinity": (lambda X: with_value(X, np.inf), "Input X contains infinity"),
    "minus infinity": (lambda X: with_value(X, -np.inf), "Input X contains infinity"),
    "sparse NaN": (lambda X: sparse.csr_array(with_value(X, np.nan)), "Input X contains NaN"),
    "sparse infinity": (lambda X: sparse.csc_array(with_value(X, np.inf)), "infinity"),
    "strings": (lambda X: np.full(X.shape, "a"), "string"),
    "object strings": (lambda X: np.full(X.shape, "a", dtype=object), "string"),
    "dicts": (lambda X: np.full(X.shape, {}, dtype=object), "dict"),
    "None inside": (lambda X: np.where(X > 1, None, X.astype(object)), "NaN"),
    "complex": (lambda X: X + 1j, "Complex data not supported"),
    "no samples": (lambda X: X[:0], "0 sample"),
    "no features": (lambda X: X[:, :0], "0 feature"),
    "1d": (lambda X: X[:, 0], "Expected 2D array, got 1D array"),
    "3d": (lambda X: X[:, :, None], "dim 3"),
    "a number": (lambda X: 3.0, "Expected 2D array, got scalar"),
    "None": (lambda X: None, "Expected 2D array, got scalar"),
    "ragged": (lambda X: [[1.0, 2.0], [3.0]], "inhomogeneous"),
}

BAD_Y = {
    "NaN": (lambda y: with_value(y, np.nan), "Input y contains NaN"),
    "infinity": (lambda y: with_value(y, np.inf), "Input y contains infinity"),
    "None": (lambda y: None, "requires y to be passed"),
    "3d": (lambda y: np.zeros((len(y), 2, 2)), "dim 3"),
    "too short": (lambda y: y[:-1], r"inconsistent numbers of samples: \[40, 39\]"),
    "too long": (lambda y: np.r_[y, y], r"inconsistent numbers of samples: \[40, 80\]"),
    "empty": (lambda y: y[:0], "0 sample"),
    "dicts": (lambda y: np.full(len(y), {}, dtype=object), "dict"),
    "a number": (lambda y: 1.0, "scalar"),
    "complex": (lambda y: y + 1j, "Complex data not supported"),
}
BAD_CLASSES = {
    "continuous": (lambda y: y + 0.5, "Unknown label type"),
    "several multiclass columns": (lambda y: np.c_[y, y[::-1]], "Multioutput|label type"),
}
BAD_NUMBERS = {
    "object strings": (lambda y: np.full(len(y), "a", dtype=object), "could not convert string"),
}

BAD_WEIGHT = {
    "NaN": (lambda w: with_value(w, np.nan), "Input sample_weight contains NaN"),
    "infinity": (lambda w: with_value(w, np.inf), "Input sample_weight contains infinity"),
    "all zero": (lambda w: 0 * w, "at least one non-zero"),
    "zero": (lambda w: 0.0, "at least one non-zero"),
    "too short": (lambda w: w[:-1], r"\(39,\).*\(40,\)"),
    "too long": (lambda w: np.r_[w, w], r"\(80,\).*\(40,\)"),
    "a column": (lambda w: w[:, None], "1D array or scalar, got 2D"),
    "two columns": (lambda w: np.c_[w, w], "1D array or scalar, got 2D"),
    "strings": (lambda w: np.full(len(w), "a"), "could not convert string"),
    "dicts": (lambda w: np.full(len(w), {}, dtype=object), "dict"),
    "complex": (lambda w: w + 1j, "Complex data not supported"),
}


def cases(table, since=None):
    """Parametrise over the names of a table of bad inputs.

    ``since`` has the version of scikit-learn by the names of those that older ones accept.
    """
    since = since or {}
    params = [
        pytest.param(*row, id=name, marks=needs_sklearn(since[name]) if name in since else ())
        for name, row in table.items()
    ]
    return pytest.mark.parametrize("make_bad, message", params)


@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict", "predict_proba"])
@both_kinds
@cases(BAD_X)
def test_bad_X(make_bad, message, problem, method):
    X, y = make_data(problem)
    if method == "predict_proba" and problem == "regression":
        method = "score"
    bad = make_bad(X)
    is_empty = getattr(bad, "shape", None) == (0, N_FEATURES)
    args = (bad,) if method.startswith("predict") else (bad, y[:0] if is_empty else y)
    ours = estimator_for(problem, **PARAMS)
    theirs = scikit_learn_twin(ours).fit(X, y)
    ours.fit(X, y)
    with left_as_it_was(ours, X, y):
        assert_raises_as_scikit_learn(
            lambda: getattr(ours, method)(*args), lambda: getattr(theirs, method)(*args), message
        )


@fit_methods
@both_kinds
@cases(BAD_Y)
def test_bad_y(make_bad, message, problem, method):
    check_bad_y(make_bad, message, problem, method)


@fit_methods
@cases(BAD_CLASSES)
def test_bad_classes(make_bad, message, method):
    check_bad_y(make_bad, message, "multiclass", method)


@fit_methods
@cases(BAD_NUMBERS)
def test_bad_numbers(make_bad, message, method):
    check_bad_y(make_bad, message, "regression", method)


def check_bad_y(make_bad, message, problem, method):
    X, y = make_data(problem)
    bad = make_bad(y)
    ours = estimator_for(problem, **PARAMS)
    theirs = scikit_learn_twin(ours).fit(X, y)
    ours.fit(X, y)
    with left_as_it_was(ours, X, y):
        assert_raises_as_scikit_learn(
            lambda: getattr(ours, method)(X, bad), lambda: getattr(theirs, method)(X, bad), message
        )


@fit_methods
def test_strings_for_numbers(method):
    """scikit-learn fails inside a subtraction here, with NumPy's TypeError."""
    X, y = make_data("regression")
    ours = estimator_for("regression", **PARAMS).fit(X, y)
    with left_as_it_was(ours, X, y), pytest.raises((ValueError, TypeError), match="string|numeric"):
        getattr(ours, method)(X, np.full(len(y), "a"))


@fit_methods
@both_kinds
@cases(BAD_WEIGHT, since={"all zero": "1.9", "zero": "1.9"})
@needs_sklearn("1.7")
def test_bad_sample_weight(make_bad, message, problem, method):
    X, y = make_data(problem)
    weight = make_bad(np.ones(len(y)))
    ours = estimator_for(problem, **PARAMS)
    theirs = scikit_learn_twin(ours).fit(X, y)
    ours.fit(X, y)
    with left_as_it_was(ours, X, y):
        assert_raises_as_scikit_learn(
            lambda: getattr(ours, method)(X, y, sample_weight=weight),
            lambda: getattr(theirs, method)(X, y, sample_weight=weight),
            message,
        )


@pytest.mark.parametrize("method", ["partial_fit", "predict", "fit"])
@both_kinds
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("n_features", [N_FEATURES - 2, 2 * N_FEATURES])
def test_wrong_width(n_features, container, problem, method):
    X, y = make_data(problem)
    wrong = container(np.resize(X, (len(y), n_features)))
    args = (wrong,) if method == "predict" else (wrong, y)
    ours = estimator_for(problem, warm_start=method == "fit", **PARAMS)
    theirs = scikit_learn_twin(ours).fit(X, y)
    ours.fit(X, y)
    message = f"X has {n_features} features, but {type(ours).__name__} is expecting {N_FEATURES}"
    with left_as_it_was(ours, X, y):
        assert_raises_as_scikit_learn(
            lambda: getattr(ours, method)(*args), lambda: getattr(theirs, method)(*args), message
        )


@pytest.mark.parametrize("method", ["partial_fit", "predict"])
def test_wrong_feature_names(method):
    pd = pytest.importorskip("pandas")
    X, y = make_data("binary")
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(N_FEATURES)])
    renamed = frame.rename(columns={"x0": "z"})
    args = (renamed,) if method == "predict" else (renamed, y)
    ours = estimator_for("binary", **PARAMS)
    theirs = scikit_learn_twin(ours).fit(frame, y)
    ours.fit(frame, y)
    with left_as_it_was(ours, frame, y):
        assert_raises_as_scikit_learn(
            lambda: getattr(ours, method)(*args),
            lambda: getattr(theirs, method)(*args),
            "feature names should match",
        )


def one_class(X, y):
    return X, np.full(len(X), "only")


@pytest.mark.parametrize(
    "subset", [lambda X, y: (X[:1], y[:1]), lambda X, y: (X[:, :1], y), one_class]
)
@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel", "regression"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_least_input_that_is_accepted(subset, problem, solver):
    """One sample, one feature or one class is enough, as in scikit-learn."""
    X, y = make_data(problem)
    if subset is one_class and problem in ("multilabel", "regression"):
        y = np.ones_like(y)
    else:
        X, y = subset(X, y)
    ours = estimator_for(problem, hidden_layer_sizes=5, max_iter=8, solver=solver, random_state=1)
    theirs = scikit_learn_twin(ours).fit(X, y)
    ours.fit(X, y)
    np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=1e-6, atol=1e-12)
    actual, expected = predictions(ours, X), predictions(theirs, X)
    for name, value in expected.items():
        assert actual[name].shape == value.shape and actual[name].dtype == value.dtype
        if value.dtype.kind == "f" and name != "predict_log_proba":
            np.testing.assert_allclose(actual[name], value, rtol=1e-5, atol=1e-7)
    if subset is one_class and problem in ("binary", "multiclass"):
        assert set(actual["predict"]) == {"only"}


@needs_sklearn("1.7")
@pytest.mark.parametrize("n_samples", [1, 2, 5])
def test_too_few_samples_for_early_stopping(n_samples):
    X, y = make_data("regression")
    X, y = X[:n_samples], y[:n_samples]
    ours = estimator_for("regression", early_stopping=True)
    theirs = scikit_learn_twin(ours)
    message = "validation set is too small|train set will be empty"
    assert_raises_as_scikit_learn(lambda: ours.fit(X, y), lambda: theirs.fit(X, y), message)


def test_class_with_one_member_cannot_be_split():
    X, y = make_data("binary")
    y = np.arange(len(y)) == 0
    ours = estimator_for("binary", early_stopping=True)
    theirs = scikit_learn_twin(ours)
    message = "least populated class(es)? in y"
    assert_raises_as_scikit_learn(lambda: ours.fit(X, y), lambda: theirs.fit(X, y), message)


@pytest.mark.parametrize(
    "solver, method", [("sgd", "fit"), ("adam", "fit"), ("sgd", "partial_fit")]
)
@both_kinds
def test_diverging_training(problem, method, solver):
    X, y = make_data(problem)
    params = {**PARAMS, "solver": solver, "activation": "identity", "max_iter": 20}
    ours = estimator_for(problem, **params).fit(X, y)
    theirs = scikit_learn_twin(ours).fit(X, y)
    with left_as_it_was(ours, X, y):
        if method == "fit":
            ours.set_params(learning_rate_init=1e200)
            theirs.set_params(learning_rate_init=1e200)
        huge = X if method == "fit" else X * 1e307
        assert_raises_as_scikit_learn(
            lambda: getattr(ours, method)(huge, y),
            lambda: getattr(theirs, method)(huge, y),
            "non-finite parameter weights",
        )
        ours.set_params(learning_rate_init=0.001)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@both_kinds
def test_too_large_for_float32(problem, method):
    """Values that float64 holds and float32 does not are not silently infinite."""
    X, y = make_data(problem)
    ours = estimator_for(problem, dtype="float32", **PARAMS).fit(X, y)
    with left_as_it_was(ours, X, y), pytest.raises(ValueError, match="infinity|float32|non-finite"):
        getattr(ours, method)(with_value(X, 1e300), y)


@both_kinds
@pytest.mark.parametrize("how", ["bad X", "bad y", "diverging"])
def test_failed_first_fit_leaves_no_model(problem, how):
    X, y = make_data(problem)
    ours = estimator_for(problem, **PARAMS)
    if how == "diverging":
        ours.set_params(activation="identity", learning_rate_init=1e200)
    bad_X = with_value(X, np.nan) if how == "bad X" else X
    bad_y = y[:-1] if how == "bad y" else y
    with pytest.raises(ValueError):
        ours.fit(bad_X, bad_y)
    with pytest.raises(NotFittedError):
        ours.predict(X)
    assert fitted_attributes(ours) == {}


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba", "score"])
@both_kinds
def test_not_fitted(problem, method):
    X, y = make_data(problem)
    ours = estimator_for(problem)
    theirs = scikit_learn_twin(ours)
    assert hasattr(ours, method) == hasattr(theirs, method)
    if hasattr(ours, method):
        args = (X, y) if method == "score" else (X,)
        assert_raises_as_scikit_learn(
            lambda: getattr(ours, method)(*args),
            lambda: getattr(theirs, method)(*args),
            "is not fitted yet",
        )


def test_lbfgs_has_no_partial_fit():
    """But in the regressor, as in scikit-learn."""
    ours = estimator_for("multiclass", solver="lbfgs")
    assert not hasattr(ours, "partial_fit")
    with pytest.raises(AttributeError, match="partial_fit"):
        ours.partial_fit(*make_data("multiclass"))


def test_partial_fit_and_classes():
    X, y = make_data("multiclass")
    ours = estimator_for("multiclass", **PARAMS)
    theirs = scikit_learn_twin(ours)
    assert_raises_as_scikit_learn(
        lambda: ours.partial_fit(X, y),
        lambda: theirs.partial_fit(X, y),
        "classes must be passed on the first call to partial_fit",
    )
    ours.partial_fit(X, y, classes=np.arange(4))
    theirs.partial_fit(X, y, classes=np.arange(4))
    for args, message in [
        (dict(y=y, classes=np.arange(5)), "is not the same as on last call"),
        (dict(y=y + 1), r"classes not in `self.classes_`"),
    ]:
        with left_as_it_was(ours, X, y):
            assert_raises_as_scikit_learn(
                lambda args=args: ours.partial_fit(X, **args),
                lambda args=args: theirs.partial_fit(X, **args),
                message,
            )


@both_kinds
def test_partial_fit_and_early_stopping(problem):
    X, y = make_data(problem)
    ours = estimator_for(problem, **PARAMS).fit(X, y)
    theirs = scikit_learn_twin(ours).fit(X, y).set_params(early_stopping=True)
    with left_as_it_was(ours, X, y):
        ours.set_params(early_stopping=True)
        assert_raises_as_scikit_learn(
            lambda: ours.partial_fit(X, y),
            lambda: theirs.partial_fit(X, y),
            "partial_fit does not support early_stopping=True",
        )
        ours.set_params(early_stopping=False)


def test_warm_start_and_other_classes():
    X, y = make_data("multiclass")
    ours = estimator_for("multiclass", warm_start=True, **PARAMS).fit(X, y)
    theirs = scikit_learn_twin(ours).fit(X, y)
    with left_as_it_was(ours, X, y):
        assert_raises_as_scikit_learn(
            lambda: ours.fit(X, y + 1),
            lambda: theirs.fit(X, y + 1),
            "warm_start can only be used where `y` has the same classes",
        )


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize(
    ("problem", "other", "solver"),
    [("regression", "multioutput", "adam"), ("multioutput", "regression", "lbfgs")],
)
def test_number_of_outputs_cannot_change(problem, other, solver, warm_start):
    """scikit-learn fails inside a matmul, or, with lbfgs, takes the weights apart."""
    X, y = make_data(problem)
    ours = estimator_for(problem, warm_start=warm_start, **PARAMS, solver=solver).fit(X, y)
    train_again = ours.fit if warm_start else ours.partial_fit
    with left_as_it_was(ours, X, y), pytest.raises(ValueError, match="output|target|column"):
        train_again(X, make_data(other)[1])


@fit_methods
def test_targets_outside_the_domain_of_a_loss(method):
    """scikit-learn's poisson loss takes them, and ours says what becomes of it; gamma is ours."""
    X, y = make_data("poisson")
    ours = estimator_for("poisson", **PARAMS).fit(X, y)
    with pytest.warns(AdviceWarning, match="y has negative values, the smallest is -1.0, and for"):
        getattr(ours, method)(X, with_value(y, -1.0))
    assert np.isnan(ours.loss_)
    ours = MLPRegressor("gamma", **PARAMS).fit(X, y + 1)
    with (
        left_as_it_was(ours, X, y + 1),
        pytest.raises(ValueError, match="'gamma': it requires y >"),
    ):
        getattr(ours, method)(X, with_value(y, 0.0))


@both_kinds
def test_input_is_not_changed(problem):
    """Neither fit nor predict writes to what it was given."""
    X, y = make_data(problem)
    unsorted = sparse.csr_array(X)
    unsorted.indices, unsorted.data = (
        a.reshape(X.shape)[:, ::-1].ravel().copy() for a in (unsorted.indices, unsorted.data)
    )
    unsorted.has_sorted_indices = False
    weight = np.ones(len(y))
    for data in (X, unsorted, unsorted.tocsc()):
        before = copy.deepcopy((data, y, weight))
        estimator_for(problem, **PARAMS).fit(data, y, sample_weight=weight).predict(data)
        pairs = [(before[1], y), (before[2], weight)]
        if sparse.issparse(data):
            parts = ("data", "indices", "indptr")
            pairs += [(getattr(before[0], p), getattr(data, p)) for p in parts]
        else:
            pairs.append((before[0], data))
        for a, b in pairs:
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("is_sparse", [False, True])
def test_beyond_the_precision_of_the_network(is_sparse):
    """A value that does not fit the network's precision is no silent infinity."""
    convert = sparse.csr_array if is_sparse else np.asarray
    dense, y = make_problem("regression")
    X, large = convert(dense), convert(with_value(dense, -1e300))
    model = estimator_for("regression", dtype="float32", max_iter=2, random_state=0).fit(X, y)
    before = model.predict(X)
    message = r"Input X contains infinity or a value too large for dtype\('float32'\)"
    for call in (model.predict, lambda X: model.fit(X, y), lambda X: model.partial_fit(X, y)):
        with pytest.raises(ValueError, match=message):
            call(large)
    with pytest.raises(ValueError, match="Input y contains infinity or a value too large"):
        model.fit(X, y * 1e300)
    np.testing.assert_array_equal(model.predict(X), before)
    assert np.isfinite(estimator_for("regression", max_iter=1).fit(X, y).predict(X)).all()
