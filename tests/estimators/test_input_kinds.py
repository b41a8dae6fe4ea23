"""Whatever holds the numbers of X, the model has the same bits as from a C-ordered array."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from common import (
    PROBLEMS,
    as_array,
    assert_same_model,
    estimator_for,
    make_problem,
    needs_sklearn,
    predictions,
    sample_weights,
    scikit_learn_twin,
)
from input_kinds import LAYOUTS, SPARSE, in_memory_map, read_only, views

PARAMS = dict(hidden_layer_sizes=(9, 4), batch_size=10, max_iter=3, random_state=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("arrange", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_layouts(arrange, dtype):
    X, y = make_problem("multiclass")
    X = X.astype(dtype)
    params = {**PARAMS, "dtype": dtype}
    expected = estimator_for("multiclass", **params).fit(X, y)
    assert_array_equal(arrange(X), X)
    model = estimator_for("multiclass", **params).fit(arrange(X), y)
    assert_same_model(model, expected, X)
    np.testing.assert_equal(predictions(model, arrange(X)), predictions(expected, X))


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_read_only_memory_maps(problem, solver, tmp_path):
    """X, y and the weights may lie in read-only memory."""
    X, y = make_problem(problem)
    weight = sample_weights(len(y))
    params = dict(hidden_layer_sizes=(9,), solver=solver, max_iter=4, random_state=0)
    mapped = in_memory_map(X, tmp_path)
    assert not mapped.flags.writeable
    model = estimator_for(problem, **params).fit(mapped, read_only(y), read_only(weight))
    assert_same_model(model, estimator_for(problem, **params).fit(X, y, weight), X)
    np.testing.assert_equal(predictions(model, mapped), predictions(model, X))
    if solver != "lbfgs":
        model.partial_fit(mapped, read_only(y), read_only(weight))


NUMBERS = ["bool", "int8", "uint8", "int16", "int32", "int64", "uint64"]


@pytest.mark.parametrize(
    "dtype, container",
    # SciPy's sparse arrays know neither float16 nor foreign byte orders.
    [(dtype, np.asarray) for dtype in [*NUMBERS, "float16", ">i4", ">f4"]]
    + [(dtype, sparse.csr_array) for dtype in NUMBERS],
)
def test_numbers_of_other_types(dtype, container):
    """They become float64, as in scikit-learn."""
    X, y = make_problem("binary")
    X = container(np.clip(np.round(3 * X), 0, 9).astype(dtype))
    model = estimator_for("binary", **PARAMS)
    expected = scikit_learn_twin(model).fit(X, y)
    model.fit(X, y)
    assert model.coefs_[0].dtype == expected.coefs_[0].dtype == np.float64
    assert_allclose(model.coefs_[0], expected.coefs_[0], rtol=1e-9, atol=1e-12)
    as_float = estimator_for("binary", **PARAMS).fit(X.astype(float), y)
    assert_same_model(model, as_float, X.astype(float))
    np.testing.assert_equal(predictions(model, X), predictions(as_float, X.astype(float)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("container", SPARSE.values(), ids=SPARSE.keys())
def test_sparse_containers(container, solver, dtype):
    X, y = make_problem("multiclass", is_sparse=True)
    X = X.toarray().astype(dtype)
    X[[3, 30]] = 0  # rows with nothing in them
    X = sparse.csr_array(X)
    params = dict(hidden_layer_sizes=(9, 4), solver=solver, max_iter=4, random_state=0)
    expected = estimator_for("multiclass", **params).fit(X, y)
    kept = container(as_array(X))
    model = estimator_for("multiclass", **params).fit(kept, y)
    assert_same_model(model, expected, X)
    np.testing.assert_equal(predictions(model, kept), predictions(expected, X))
    assert_array_equal(kept.toarray(), as_array(X))


def test_sparse_without_an_entry():
    _, y = make_problem("multiclass")
    X = sparse.csr_array((len(y), 5))
    model = estimator_for("multiclass", **PARAMS).fit(X, y)
    dense = estimator_for("multiclass", **PARAMS).fit(X.toarray(), y)
    assert_allclose(model.predict_proba(X), dense.predict_proba(X.toarray()), rtol=1e-12)


@pytest.mark.parametrize(
    "form",
    [
        lambda w: w.tolist(),
        lambda w: np.repeat(w, 2)[::2],
        lambda w: w[::-1].copy()[::-1],
        lambda w: w.astype(">f8"),
        lambda w: w.astype("float32"),
        lambda w: np.ceil(w).astype("int32"),
        lambda w: (w > 1).astype(bool),
        lambda w: 2.5,
    ],
)
def test_forms_of_sample_weight(form):
    X, y = make_problem("multiclass")
    weight = form(sample_weights(len(y)).astype("float32").astype("float64"))
    model = estimator_for("multiclass", **PARAMS).fit(X, y, weight)
    plain = np.broadcast_to(np.asarray(weight, dtype=float), len(y)).copy()
    assert_same_model(model, estimator_for("multiclass", **PARAMS).fit(X, y, plain), X)


@pytest.mark.parametrize("problem", ["regression", "poisson", "multioutput"])
@pytest.mark.parametrize(
    "form",
    [
        np.asfortranarray,
        lambda y: y[::-1].copy()[::-1],
        lambda y: y.astype(">f8"),
        lambda y: y.tolist(),
        lambda y: y.astype(object),
        read_only,
    ],
)
def test_forms_of_target(form, problem):
    X, y = make_problem(problem)
    model = estimator_for(problem, **PARAMS).fit(X, form(y))
    assert_same_model(model, estimator_for(problem, **PARAMS).fit(X, y), X)


@given(st.data())
def test_any_view(data):
    """Strides, order, offset and dtype of X and y do not show."""
    n_samples, n_features = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 12))
    dtypes = ["float64", "float32", "int8", "uint16", "int64", "float16", ">f8", ">i2", "bool"]
    X = data.draw(views((n_samples, n_features), dtypes))
    y = data.draw(views((n_samples,), ["float64", "int32", ">f4"]))
    problem = data.draw(st.sampled_from(["multiclass", "regression", "poisson"]))
    params = dict(hidden_layer_sizes=(5,), max_iter=2, random_state=0, dtype="float64")
    model = estimator_for(problem, **params).fit(X, y)
    plain = np.ascontiguousarray(X, dtype=float)
    expected = estimator_for(problem, **params).fit(plain, np.array(y, dtype=float))
    np.testing.assert_equal(model.coefs_, expected.coefs_)
    for name, value in predictions(expected, plain).items():
        assert_array_equal(getattr(model, name)(X), value)


@needs_sklearn("1.7")
@given(
    n_samples=st.integers(1, 30),
    batch_size=st.integers(1, 40),
    is_sparse=st.booleans(),
    problem=st.sampled_from(PROBLEMS),
)
@pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1")
def test_any_batch_size(n_samples, batch_size, is_sparse, problem):
    """A batch as large as the data or larger is the whole of it; all others follow, too."""
    X, y = make_problem(problem, n_samples=40, is_sparse=is_sparse)
    X, y = X[:n_samples], y[:n_samples]
    params = dict(hidden_layer_sizes=(5,), max_iter=2, random_state=0, solver="sgd")
    model = estimator_for(problem, batch_size=batch_size, **params).fit(X, y)
    expected = scikit_learn_twin(model).fit(X, y)
    assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=1e-9)
    assert_allclose(model.coefs_[0], expected.coefs_[0], rtol=0, atol=1e-9)
    if batch_size >= n_samples:
        whole = estimator_for(problem, batch_size=n_samples, **params).fit(X, y)
        assert_same_model(model, whole, X)


@given(
    counts=st.lists(st.integers(0, 3), min_size=4, max_size=30).filter(any),
    solver=st.sampled_from(["sgd", "adam", "lbfgs"]),
    problem=st.sampled_from(["binary", "multilabel", "regression", "poisson", "multioutput"]),
    is_sparse=st.booleans(),
)
def test_weights_are_repetitions(counts, solver, problem, is_sparse):
    """Full batch, in order: a whole-number weight is a number of copies of the sample."""
    X, y = make_problem(problem, n_samples=30, is_sparse=is_sparse)
    X, y = X[: len(counts)], y[: len(counts)]
    if problem == "binary":
        y = np.resize([0, 1], len(counts))
    copies = np.repeat(np.arange(len(counts)), counts)
    if problem == "binary" and len(set(y[copies])) < 2:
        return  # the repeated set would have one class only
    params = dict(hidden_layer_sizes=(5,), max_iter=5, random_state=0, solver=solver, alpha=0.1)
    weighted = estimator_for(problem, **params)
    repeated = estimator_for(problem, **params)
    if solver != "lbfgs":
        weighted.set_params(shuffle=False, batch_size=len(counts))
        repeated.set_params(shuffle=False, batch_size=len(copies))
    weighted.fit(X, y, sample_weight=counts)
    repeated.fit(X[copies], y[copies])
    assert_allclose(weighted.loss_, repeated.loss_, rtol=1e-9)
    for a, b in zip(weighted.coefs_, repeated.coefs_, strict=True):
        assert_allclose(a, b, rtol=1e-6, atol=1e-8)
