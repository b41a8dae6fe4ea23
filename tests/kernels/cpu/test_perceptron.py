"""Rosenblatt's perceptron: its worked numbers, its convergence, kinds of data, and weights."""

import copy
import inspect

import numpy as np
import pytest
import sklearn
import sklearn.linear_model
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from common import run_python
from fastnn import Perceptron
from fastnn.kernels.cpu import perceptron as kernel
from input_kinds import LAYOUTS, SPARSE, views
from perceptrons import (
    AND,
    INPUTS,
    OR,
    X3,
    XOR,
    Y3,
    assert_same,
    assert_weights,
    by_definition,
    converged,
    initial_weights,
    make_classes,
    weights,
)
from processors import AVX2, host_has

# Checks that scikit-learn has for this estimator, by its version.
N_CHECKS = {"1.9.1": 55}


# ---- worked numbers --------------------------------------------------------------------


def test_one_update():
    x, start = [[2, 1]], dict(classes=[0, 1], coef_init=[0.5, 0.3], intercept_init=-1)
    right = Perceptron().partial_fit(x, [1], **start)
    assert weights(right) == (-1, 0.5, 0.3) and right.error_curve_ == [0]
    assert right.decision_function(x) == pytest.approx(0.3, abs=1e-15)
    assert_array_equal(right.predict(x), [1])
    wrong = Perceptron().partial_fit(x, [0], **start)
    assert weights(wrong) == (-2, -1.5, -0.7) and wrong.error_curve_ == [1]
    assert_array_equal(wrong.predict(x), [0])


OR_STEPS = [
    (0, 1, -1), (1, 1, 0), (1, 1, 0), (1, 1, 0), (0, 1, 0),
    (1, 1, 1), (1, 1, 1), (1, 1, 1), (0, 1, 1), (0, 1, 1),
]  # fmt: skip


def test_logical_or_step_by_step():
    model = Perceptron()
    start = dict(classes=[0, 1], coef_init=[1, -1], intercept_init=[0])
    for step in range(24):
        i = step % 4
        model.partial_fit(INPUTS[i : i + 1], OR[i : i + 1], **(start if step == 0 else {}))
        assert weights(model) == OR_STEPS[min(step, 9)], step + 1
        assert model.t_ == step + 1
    assert_array_equal(model.predict(INPUTS), OR)


def test_logical_or_by_epochs():
    model = Perceptron(shuffle=False)
    converged(model, INPUTS, OR, coef_init=[[1, -1]], intercept_init=0.0)
    assert weights(model) == (0, 1, 1)
    assert model.error_curve_ == [1, 2, 1, 0]
    assert (model.n_iter_, model.t_) == (4, 16)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("targets", [OR, AND, [0, 0, 1, 0], [1, 1, 0, 1]])
def test_what_a_line_separates_is_learned(targets, shuffle):
    model = converged(Perceptron(shuffle=shuffle), INPUTS, targets)
    assert_array_equal(model.predict(INPUTS), targets)
    assert model.error_curve_[-1] == 0 and model.n_iter_ < 20


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("eta0", [1.0, 0.1])
@pytest.mark.parametrize("targets", [XOR, [1, 0, 0, 1]])
def test_exclusive_or_is_never_learned(targets, eta0, shuffle):
    model = Perceptron(shuffle=shuffle, eta0=eta0, max_iter=3000)
    with pytest.warns(ConvergenceWarning):
        model.fit(INPUTS, targets)
    assert model.n_iter_ == len(model.error_curve_) == 3000
    assert min(model.error_curve_) > 0
    assert model.score(INPUTS, targets) < 1


# ---- the rule --------------------------------------------------------------------------


@given(st.integers(1, 20), st.booleans(), st.booleans(), st.integers(0, 10_000))
def test_separable_classes_are_learned_within_novikoffs_bound(n_features, shuffle, is_sparse, seed):
    """At most (R / margin)**2 errors in all, from weights of zero."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (50, n_features))
    direction = rng.standard_normal(n_features + 1)
    direction /= np.linalg.norm(direction)
    margin = direction[0] + X @ direction[1:]
    X, margin = X[np.abs(margin) > 0.05], margin[np.abs(margin) > 0.05]
    y = (margin > 0).astype(int)
    assume(len(set(y)) == 2)
    bound = (1 + (X**2).sum(axis=1).max()) / np.abs(margin).min() ** 2
    model = Perceptron(shuffle=shuffle, max_iter=int(bound) + 1, random_state=seed)
    given_as = sparse.csr_array(X) if is_sparse else X
    converged(model, given_as, y)
    assert model.score(given_as, y) == 1
    assert sum(model.error_curve_) <= bound
    assert model.error_curve_[-1] == 0 < min(model.error_curve_[:-1])


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("n_features", [1, 3, 15, 16, 100])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_against_the_definition(n_classes, n_features, is_sparse, fit_intercept):
    """One perceptron for each class, by itself."""
    X, y = make_classes(n_classes, n_features=n_features, is_sparse=is_sparse)
    random_state = np.random.RandomState(3)
    orders = [random_state.permutation(len(X)) for _ in range(7)]
    params = {"eta0": 0.3, "fit_intercept": fit_intercept}
    start = initial_weights(n_classes, n_features, scale=1)
    coef, intercept, errors = by_definition(X, y, start, orders, **params)
    given_as = sparse.csr_array(X) if is_sparse else X
    model = Perceptron(max_iter=7, random_state=3, **params).fit(given_as, y, **start)
    assert_weights(model, coef, intercept)
    errors = errors.sum(axis=1)
    assert_array_equal(model.error_curve_, errors[: model.n_iter_])
    assert not errors[model.n_iter_ :].any()
    sums = X @ coef.T + intercept
    decision = model.decision_function(given_as)
    assert_allclose(decision, sums[:, 0] if n_classes == 2 else sums, rtol=0, atol=1e-11)
    predicted = (sums[:, 0] > 0).astype(int) if n_classes == 2 else sums.argmax(axis=1)
    assert_array_equal(model.predict(given_as), predicted)


def test_classes_that_are_learned_early_stay_as_they_are():
    """One class of iris can be told from the rest, and that is learned first."""
    X, y = load_iris(return_X_y=True)
    model = Perceptron(max_iter=40, random_state=0).fit(X, y)
    random_state = np.random.RandomState(0)
    orders = [random_state.permutation(len(X)) for _ in range(40)]
    coef, intercept, errors = by_definition(X, y, initial_weights(3, 4), orders)
    assert errors[30:, 0].sum() == 0 < errors[30:, 1:].min()
    assert_weights(model, coef, intercept)
    assert_array_equal(model.error_curve_, errors.sum(axis=1))


@given(st.integers(2, 4), st.integers(1, 40), st.integers(4, 25), st.integers(0, 999))
def test_whole_numbers_are_exact(n_classes, n_features, n_samples, seed):
    """Nothing is rounded, so all is as defined, to the bit; a sum of 0 is not above 0."""
    X = np.random.default_rng(seed).integers(-1, 2, (n_samples, n_features)).astype(float)
    y = np.resize(np.arange(n_classes), n_samples)
    start = initial_weights(n_classes, n_features)
    coef, intercept, errors = by_definition(X, y, start, [np.arange(n_samples)] * 5)
    model = Perceptron(shuffle=False, max_iter=5).fit(X, y)
    assert_weights(model, coef, intercept, atol=0)
    assert_array_equal(model.error_curve_, errors.sum(axis=1)[: model.n_iter_])
    sums = X @ coef.T + intercept
    assert_array_equal(model.decision_function(X), sums[:, 0] if n_classes == 2 else sums)


# ---- scikit-learn's perceptron ---------------------------------------------------------


def theirs(max_iter):
    return sklearn.linear_model.Perceptron(shuffle=False, tol=None, max_iter=max_iter)


@pytest.mark.parametrize("max_iter", [1, 2, 50])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_same_weights_as_scikit_learn(n_classes, max_iter):
    """From weights that make no sum zero; there the two rules are the same."""
    X, y = make_classes(n_classes)
    start = initial_weights(n_classes, X.shape[1], scale=1)
    expected = theirs(max_iter).fit(X, y, **copy.deepcopy(start))
    model = Perceptron(shuffle=False, max_iter=max_iter).fit(X, y, **start)
    assert_weights(model, expected.coef_, expected.intercept_)
    assert_allclose(model.decision_function(X), expected.decision_function(X), atol=1e-11)
    assert_array_equal(model.predict(X), expected.predict(X))


@pytest.mark.parametrize("max_iter", [1, 50])
def test_same_weights_as_scikit_learn_from_a_positive_sample(max_iter):
    """From zero: the first sum is 0, an error for both where the sample is positive."""
    X, y = make_classes()
    assert y[0] == 1
    model = Perceptron(shuffle=False, max_iter=max_iter).fit(X, y)
    expected = theirs(max_iter).fit(X, y)
    assert_weights(model, expected.coef_, expected.intercept_)


@pytest.mark.parametrize("max_iter", [1, 50])
def test_scikit_learn_makes_one_more_step_at_a_sum_of_zero(max_iter):
    """It begins with a step on a negative sample, where the step activation says 0 already."""
    X, y = make_classes()
    X, y = X[np.argsort(y, kind="stable")], np.sort(y)
    expected = theirs(max_iter).fit(X, y)
    model = Perceptron(shuffle=False, max_iter=max_iter)
    assert not np.allclose(model.fit(X, y).coef_, expected.coef_)
    model.fit(X, y, coef_init=-X[0], intercept_init=-1)
    assert_weights(model, expected.coef_, expected.intercept_)


def test_names_are_scikit_learns():
    """Parameters, their defaults, and arguments in order; but for what is said in the Notes."""
    own = inspect.signature(Perceptron).parameters
    other = inspect.signature(sklearn.linear_model.Perceptron).parameters
    assert all(own[name].default == other[name].default for name in own)
    for name in ("fit", "partial_fit", "predict", "decision_function", "score"):
        expected = list(inspect.signature(getattr(theirs(1), name)).parameters)
        actual = inspect.signature(getattr(Perceptron(), name)).parameters
        shared = [p for p in actual if actual[p].kind is not inspect.Parameter.KEYWORD_ONLY]
        assert expected == shared + (["sample_weight"] if name == "fit" else [])


@parametrize_with_checks(
    [Perceptron(), Perceptron(shuffle=False, fit_intercept=False)],
    expected_failed_checks=lambda estimator: {},
)
def test_check(estimator, check):
    check(estimator)


def test_number_of_checks():
    """None of the checks went missing, for instance through a wrong estimator tag."""
    if sklearn.__version__ not in N_CHECKS:
        pytest.skip(f"the number of checks in scikit-learn {sklearn.__version__} is not known")
    assert len(list(estimator_checks_generator(Perceptron()))) == N_CHECKS[sklearn.__version__]


# ---- kinds of X and y ------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("n_features", [5, 16, 33])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dense_and_sparse_and_precisions_have_the_same_bits(dtype, n_features, n_classes):
    X, y = make_classes(n_classes, n_features=n_features, is_sparse=True)
    X[[3, 30]] = 0
    X = X.astype("float32")
    expected = Perceptron(max_iter=20).fit(X.astype("float64"), y)
    assert expected.coef_.dtype == expected.intercept_.dtype == np.float64
    sums = expected.decision_function(X.astype("float64"))
    assert sums.dtype == np.float64
    for given_as in (X.astype(dtype), sparse.csr_array(X.astype(dtype))):
        model = Perceptron(max_iter=20).fit(given_as, y)
        assert_same(model, expected)
        assert_array_equal(model.decision_function(given_as), sums)


CONTAINERS = [pytest.param(arrange, id=name) for name, arrange in (LAYOUTS | SPARSE).items()]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_containers(container, dtype, shuffle):
    X, y = make_classes(3, is_sparse=True)
    X = X.astype(dtype)
    expected = Perceptron(max_iter=6, shuffle=shuffle).fit(X, y)
    kept = container(X)
    model = Perceptron(max_iter=6, shuffle=shuffle).fit(kept, y)
    assert_same(model, expected)
    assert_array_equal(model.decision_function(kept), expected.decision_function(X))
    assert_array_equal(kept.toarray() if sparse.issparse(kept) else kept, X)


@given(st.data())
def test_any_view(data):
    """Strides, order, offset and dtype of X and y do not show."""
    n_samples, n_features = data.draw(st.integers(2, 30)), data.draw(st.integers(1, 40))
    X = data.draw(views((n_samples, n_features), ["float64", "float32", "int8", ">f8", "bool"]))
    y = data.draw(views((n_samples,), ["float64", "int32", ">f4"]))
    assume(len(np.unique(y)) > 1)
    plain = np.ascontiguousarray(X, dtype=float)
    model = Perceptron(max_iter=5, shuffle=False).fit(X, y)
    assert_same(model, Perceptron(max_iter=5, shuffle=False).fit(plain, np.array(y, dtype=float)))
    assert_array_equal(model.decision_function(X), model.decision_function(plain))


@pytest.mark.parametrize("labels", [["no", "yes"], [False, True], [-1, 1], [2.0, 7.0]])
def test_labels(labels):
    y = np.array(labels)[OR]
    model = converged(Perceptron(shuffle=False), INPUTS, y)
    assert_array_equal(model.classes_, labels)
    assert model.classes_.dtype == y.dtype
    assert_array_equal(model.predict(INPUTS), y)
    assert_array_equal(model.coef_, Perceptron(shuffle=False).fit(INPUTS, OR).coef_)


def test_feature_names():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X3).add_prefix("x")
    model = Perceptron(max_iter=3).fit(frame, Y3)
    assert_array_equal(model.feature_names_in_, frame.columns)
    assert_same(model, Perceptron(max_iter=3).fit(X3, Y3))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[frame.columns[::-1]])


def test_slices_do_not_show(monkeypatch):
    """However short the slices of an epoch, the result is the same."""
    expected = Perceptron(max_iter=4).fit(X3, Y3)
    sums = expected.decision_function(X3)
    calls, plain = [], kernel.threads.call
    monkeypatch.setattr(kernel, "SLICE", 1e-7)
    monkeypatch.setattr(kernel.threads, "call", lambda *args: calls.append(args) or plain(*args))
    assert_same(Perceptron(max_iter=4).fit(X3, Y3), expected)
    assert len(calls) > 60
    assert_array_equal(expected.decision_function(X3), sums)


BITS = """
import hashlib, json, warnings
warnings.simplefilter("ignore")
import numpy as np
from scipy import sparse
from fastnn.kernels.cpu import simd
from fastnn import Perceptron
rng = np.random.default_rng(0)
digest = hashlib.sha256()
for n_features in (3, 16, 45):
    X = rng.standard_normal((200, n_features)) * (rng.random((200, n_features)) < 0.5)
    for n_classes in (2, 3):
        y = rng.integers(0, n_classes, 200)
        for given_as in (X, X.astype("float32"), sparse.csr_array(X)):
            model = Perceptron(max_iter=20, eta0=0.1).fit(given_as, y)
            for array in (model.coef_, model.intercept_, model.decision_function(given_as)):
                digest.update(np.ascontiguousarray(array).tobytes())
print(json.dumps([digest.hexdigest(), simd.vector_bytes()]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not host_has("fma"), reason="this processor has no AVX2 with FMA")
def test_same_bits_with_shorter_vectors():
    digest, vector_bytes = run_python(BITS, **AVX2)
    assert vector_bytes == 32
    assert digest == run_python(BITS)[0]


# ---- going on --------------------------------------------------------------------------


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_partial_fit_is_fit_epoch_by_epoch(n_classes, shuffle):
    X, y = make_classes(n_classes)
    model = Perceptron(shuffle=shuffle, random_state=np.random.RandomState(0))
    for epoch in range(1, 8):
        model.partial_fit(X, y, classes=np.unique(y) if epoch == 1 else None)
        whole = Perceptron(shuffle=shuffle, max_iter=epoch).fit(X, y)
        assert model.n_iter_ == 1 and whole.n_iter_ == epoch
        whole.n_iter_ = 1
        assert_same(model, whole)


def test_partial_fit_in_pieces():
    """In order, pieces of an epoch are the epoch."""
    model = Perceptron(shuffle=False)
    for piece in np.split(np.arange(len(X3)), [1, 7, 30]):
        model.partial_fit(X3[piece], Y3[piece], classes=[0, 1, 2])
    whole = Perceptron(shuffle=False).partial_fit(X3, Y3, classes=[0, 1, 2])
    assert_weights(model, whole.coef_, whole.intercept_, atol=0)
    assert sum(model.error_curve_) == sum(whole.error_curve_)
    assert len(model.error_curve_) == 4 and model.t_ == whole.t_


@pytest.mark.parametrize("shuffle", [False, True])
def test_warm_start_goes_on(shuffle):
    random_state = np.random.RandomState(0)
    model = Perceptron(shuffle=shuffle, warm_start=True, max_iter=3, random_state=random_state)
    first = model.fit(X3, Y3).coef_
    kept = first.copy()
    model.fit(X3, Y3)
    whole = Perceptron(shuffle=shuffle, max_iter=6).fit(X3, Y3)
    assert (model.n_iter_, whole.n_iter_) == (3, 6)
    whole.n_iter_ = 3
    assert_same(model, whole)
    assert_array_equal(first, kept)
    # Given weights come first; without warm_start nothing is left of before.
    expected = Perceptron(shuffle=shuffle, max_iter=3).fit(X3, Y3)
    model.set_params(random_state=0).fit(X3, Y3, **initial_weights(3, 7))
    assert_weights(model, expected.coef_, expected.intercept_, atol=0)
    assert_same(model.set_params(warm_start=False).fit(X3, Y3), expected)


def test_shuffling():
    fits = [Perceptron(max_iter=5, random_state=s).fit(X3, Y3).coef_ for s in (0, 0, 1)]
    assert_array_equal(fits[0], fits[1])
    assert not np.array_equal(fits[0], fits[2])
    in_order = [Perceptron(max_iter=5, shuffle=False, random_state=s).fit(X3, Y3) for s in (0, 1)]
    assert_same(*in_order)
    assert not np.array_equal(in_order[0].coef_, fits[0])


def test_weights_that_are_set_count():
    model = Perceptron(max_iter=3).fit(X3, Y3)
    start = initial_weights(3, 7, scale=1)
    model.coef_ = np.asfortranarray(start["coef_init"])
    model.intercept_ = start["intercept_init"].tolist()
    sums = X3 @ model.coef_.T + model.intercept_
    assert_allclose(model.decision_function(X3), sums, rtol=0, atol=1e-12)
    kept = model.coef_.copy()
    expected = Perceptron(max_iter=1).fit(X3, Y3, **start)
    mine = model.coef_
    assert_array_equal(model.partial_fit(X3, Y3).coef_, expected.coef_)
    assert_array_equal(mine, kept)
    assert_array_equal(start["coef_init"], kept)
    model.coef_[0] = 0
    assert_array_equal(model.decision_function(X3)[:, 0], np.full(len(X3), model.intercept_[0]))


# ---- sample weights --------------------------------------------------------------------


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_sample_weights_multiply_the_steps(n_classes, is_sparse):
    X, y = make_classes(n_classes, is_sparse=is_sparse)
    weight = np.random.default_rng(1).uniform(0, 3, len(X)).astype("float32")
    weight[::7] = 0
    start, orders = initial_weights(n_classes, X.shape[1]), [np.arange(len(X))] * 4
    coef, intercept, errors = by_definition(X, y, start, orders, weight=weight.astype(float))
    for form in (weight, weight.tolist(), weight.astype(float)[::-1].copy()[::-1]):
        model = Perceptron(shuffle=False)
        given_as = sparse.csr_array(X) if is_sparse else X
        for _ in orders:
            model.partial_fit(given_as, y, classes=np.unique(y), sample_weight=form)
        assert_weights(model, coef, intercept)
        assert_array_equal(model.error_curve_, errors.sum(axis=1))


def test_samples_without_weight_are_absent():
    weight = np.arange(len(X3)) % 3 > 0
    model, less = Perceptron(shuffle=False), Perceptron(shuffle=False)
    model.partial_fit(X3, Y3, [0, 1, 2], weight)
    less.partial_fit(X3[weight], Y3[weight], [0, 1, 2])
    assert_weights(model, less.coef_, less.intercept_, atol=0)
    assert model.error_curve_ == less.error_curve_


def test_one_weight_for_all_is_a_rate():
    model = Perceptron().partial_fit(X3, Y3, [0, 1, 2], sample_weight=0.3)
    assert_same(model, Perceptron(eta0=0.3).partial_fit(X3, Y3, [0, 1, 2]))


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.zeros(60), "at least one non-zero"),
        (np.ones(59), r"expected \(60,\)"),
        (np.ones((60, 1)), "1D array or scalar"),
        (np.r_[np.ones(59), -1], "Negative values"),
        (np.r_[np.ones(59), np.nan], "NaN"),
    ],
)
def test_bad_sample_weight(weight, message):
    with pytest.raises(ValueError, match=message):
        Perceptron().partial_fit(X3, Y3, classes=[0, 1, 2], sample_weight=weight)
