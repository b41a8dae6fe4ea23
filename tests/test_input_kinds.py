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

PARAMS = dict(hidden_layer_sizes=(9, 4), batch_size=10, max_iter=3, random_state=0)


def in_memory_map(X, folder):
    """X in a file, mapped read-only."""
    path = folder / "X.dat"
    X.tofile(path)
    return np.memmap(path, dtype=X.dtype, mode="r", shape=X.shape)


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def unaligned(X):
    """X at an odd address."""
    buffer = np.frombuffer(b"\0" + X.tobytes(), np.uint8)
    return buffer[1:].view(X.dtype).reshape(X.shape)


LAYOUTS = {
    "F": np.asfortranarray,
    "every second row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "every third column": lambda X: np.repeat(X, 3, axis=1)[:, ::3],
    "rows reversed": lambda X: X[::-1].copy()[::-1],
    "columns reversed": lambda X: X[:, ::-1].copy()[:, ::-1],
    "all reversed, F": lambda X: np.asfortranarray(X[::-1, ::-1])[::-1, ::-1],
    "part of a larger array": lambda X: np.pad(X, 3)[3:-3, 3:-3],
    "read-only": read_only,
    "big-endian": lambda X: X.astype(X.dtype.newbyteorder(">")),
    "unaligned": unaligned,
    "matrix of objects": lambda X: X.astype(object),
    "list": lambda X: X.tolist(),
    "field of a structured array": lambda X: np.rec.fromarrays([X, X], names="a,b")["a"],
}


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


def unsorted_csr(X):
    """CSR whose column numbers go down in every row."""
    X = sparse.csr_array(X)
    for start, stop in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        X.indices[start:stop] = X.indices[start:stop][::-1].copy()
        X.data[start:stop] = X.data[start:stop][::-1].copy()
    X.has_sorted_indices = False
    return X


def with_duplicates(X):
    """CSR that holds every number as a sum of two."""
    X = sparse.csr_array(X)
    return sparse.csr_array(
        (np.repeat(X.data / 2, 2), np.repeat(X.indices, 2), 2 * X.indptr), shape=X.shape
    )


def with_explicit_zeros(X):
    """CSR that stores zeros, too."""
    rows, columns = np.indices(X.shape)
    return sparse.csr_array((X.ravel(), (rows.ravel(), columns.ravel())), shape=X.shape)


def with_int64_indices(X, kind=sparse.csr_array):
    X = kind(X)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def with_parts(X, **parts):
    """X as CSR with some of its arrays replaced, past the checks of its constructor."""
    X = sparse.csr_array(X)
    for name, array in parts.items():
        setattr(X, name, array)
    return X


def spread(array, step):
    """The array as every other element of a larger one, from its end where step is negative."""
    wide = np.full(2 * len(array), -1, dtype=array.dtype)
    wide[::2] = array[:: 1 if step > 0 else -1]
    return wide[::2] if step > 0 else wide[-2::-2]


def with_strided_parts(X, step=2):
    X = sparse.csr_array(X)
    return with_parts(X, data=spread(X.data, step), indices=spread(X.indices, step))


def with_mixed_indices(X, indices, indptr):
    X = sparse.csr_array(X)
    return with_parts(X, indices=X.indices.astype(indices), indptr=X.indptr.astype(indptr))


SPARSE = {
    "csr_matrix": sparse.csr_matrix,
    "csc_array": sparse.csc_array,
    "csc_matrix": sparse.csc_matrix,
    "coo_array": sparse.coo_array,
    "lil_array": sparse.lil_array,
    "int64 indices": with_int64_indices,
    "CSC with int64 indices": lambda X: with_int64_indices(X, sparse.csc_array),
    "unsorted": unsorted_csr,
    "duplicates": with_duplicates,
    "explicit zeros": with_explicit_zeros,
    "strided parts": with_strided_parts,
    "reversed parts": lambda X: with_strided_parts(X, -2),
    "int32 indices, int64 indptr": lambda X: with_mixed_indices(X, "i4", "i8"),
    "int64 indices, int32 indptr": lambda X: with_mixed_indices(X, "i8", "i4"),
}


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


@st.composite
def views(draw, shape, dtypes):
    """A view of the given shape with any strides, order, offset and dtype; whole numbers."""
    steps = [draw(st.sampled_from([-3, -2, -1, 1, 2, 5])) for _ in shape]
    margins = [draw(st.integers(0, 3)) for _ in shape]
    dtype = draw(st.sampled_from(dtypes))
    sizes = [n * abs(step) + 2 * m for n, step, m in zip(shape, steps, margins, strict=True)]
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    base = rng.integers(0, 9, sizes).astype(dtype, order=draw(st.sampled_from("CF")))
    window = tuple(slice(m, size - m) for m, size in zip(margins, sizes, strict=True))
    view = base[window][tuple(slice(None, None, step) for step in steps)]
    assert view.shape == tuple(shape)
    return view


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
