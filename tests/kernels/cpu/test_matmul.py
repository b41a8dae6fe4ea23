"""The register tile, the blocked matmul and packing, called directly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastnn.kernels.cpu import jit, matmul, simd
from fastnn.kernels.cpu.matmul import Factor, Matrix
from fastnn.kernels.units import ADD, BIAS, ZERO

PRECISIONS = ("float32", "float64")
sizes = st.integers(1, 70)


def call_matmul(a, row_stride, k_stride, b, b_stride, packed, k, c, c_stride, bias, init, m, n):
    left, sums = Matrix(a, row_stride, k_stride), Matrix(c, c_stride, 1)
    kernel(left, Factor(b, b_stride, packed), sums, bias, init, m, n, k)  # noqa: F821


def call_pack(source, k_stride, column_stride, packed, k, n, p_start, p_stop, j_start, j_stop):
    matrix = Matrix(source, k_stride, column_stride)
    kernel(matrix, packed, k, n, (p_start, p_stop), (j_start, j_stop))  # noqa: F821


def kernels_for(precision):
    """The kernels, callable from Python."""
    bound = matmul.bindings(precision)
    return {
        name: jit.bind(call, f"test_{name}_{precision}", from_python=True, kernel=bound[name])
        for name, call in (
            ("matmul", call_matmul),
            ("pack", call_pack),
        )
    }


def product(a, b, *, packed, c=None, bias=None, init=ZERO):
    """C = init + A B by the kernels; A and B are 2-D with any strides for A."""
    precision = a.dtype.name
    kernels = kernels_for(precision)
    (m, k), n = a.shape, b.shape[1]
    c = np.full((m, n), np.nan, precision) if c is None else c.copy()
    bias = np.zeros(n, precision) if bias is None else bias
    strides = [stride // a.itemsize for stride in a.strides]
    right, b_stride = b.ravel(), n
    if packed:
        right, b_stride = np.full(matmul.packed_size(k, n, precision), np.nan, precision), 0
        kernels["pack"](b.ravel(), n, 1, right, k, n, 0, k, 0, n)
    left = np.lib.stride_tricks.as_strided(a, (a.size,), (a.itemsize,))
    kernels["matmul"](left, *strides, right, b_stride, packed, k, c.ravel(), n, bias, init, m, n)
    return c


def matrices(m, k, n, precision, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape).astype(precision) for shape in ((m, k), (k, n)))


@pytest.mark.parametrize("precision", PRECISIONS)
@given(m=sizes, k=sizes, n=sizes, transposed=st.booleans(), packed=st.booleans())
def test_any_shape(precision, m, k, n, transposed, packed):
    a, b = matrices(m, k, n, precision)
    a = np.asfortranarray(a) if transposed else a
    expected = a.astype(float) @ b.astype(float)
    scale = np.abs(a).astype(float) @ np.abs(b).astype(float)
    error = np.abs(product(a, b, packed=packed) - expected)
    assert (error <= 2 * k * np.finfo(precision).eps * scale).all()


@pytest.mark.parametrize("precision", PRECISIONS)
@given(m=st.integers(1, 30), n=sizes, init=st.sampled_from([ZERO, ADD, BIAS]), packed=st.booleans())
def test_sums_run_in_order(precision, m, n, init, packed):
    """Every element is init + a[0] b[0] + a[1] b[1] + ..., one fma after another.

    Depths beyond one block of k too. Whole numbers over powers of two make products exact in
    float64, so that there the fma of float32 is a product, a sum and one rounding.
    """
    k = matmul.BLOCK_K + 3
    rng = np.random.default_rng(m * 100 + n)
    a = (rng.integers(-2000, 2000, (m, k)) / 1024).astype(precision)
    b = (rng.integers(-2000, 2000, (k, n)) / 1024).astype(precision)
    c, bias = (
        rng.standard_normal((m, n)).astype(precision),
        rng.standard_normal(n).astype(precision),
    )
    expected = {ZERO: np.zeros_like(c), ADD: c, BIAS: np.broadcast_to(bias, c.shape)}[init]
    for p in range(k):
        exact = expected.astype(np.longdouble) + a[:, p, None].astype(np.longdouble) * b[p]
        expected = exact.astype(precision)
    result = product(a, b, packed=packed, c=c, bias=bias, init=init)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_nothing_beyond_the_edge_is_touched(precision):
    """Edge tiles read and write only what exists: NaN around A, B and C stays where it is."""
    a, b = matrices(13, 7, 21, precision)
    frame = np.full((15, 40), np.nan, precision)
    kernels = kernels_for(precision)
    target = frame.ravel()
    nan = np.array(np.nan, precision)
    kernels["matmul"](
        np.append(a.ravel(), nan),
        7,
        1,
        np.append(b.ravel(), nan),
        21,
        False,
        7,
        target,
        40,
        np.zeros(21, precision),
        ZERO,
        13,
        21,
    )
    np.testing.assert_allclose(frame[:13, :21], a @ b, rtol=1e-4, atol=1e-4)
    assert np.isnan(frame[13:]).all() and np.isnan(frame[:, 21:]).all()


@pytest.mark.parametrize("precision", PRECISIONS)
@given(m=st.integers(1, 3), k=sizes, n=st.integers(1, 200), init=st.sampled_from([ZERO, ADD, BIAS]))
def test_row_by_row(precision, m, k, n, init):
    """A product of a few rows, taken row by row, has the bits of one of many rows."""
    many = m + matmul.FEW_ROWS
    a, b = matrices(many, k, n, precision)
    c, bias = matrices(many, 1, n, precision, seed=1)
    c, bias = np.broadcast_to(c, (many, n)).copy(), bias[0]
    few = product(a[:m], b, packed=False, c=c[:m], bias=bias, init=init)
    expected = product(a, b, packed=False, c=c, bias=bias, init=init)[:m]
    np.testing.assert_array_equal(few, expected)


@pytest.mark.parametrize("precision", PRECISIONS)
@given(k=sizes, n=sizes)
def test_packing_a_transpose(precision, k, n):
    """Packing B from an array with contiguous columns is packing it from one with rows."""
    _, b = matrices(1, k, n, precision)
    pack = kernels_for(precision)["pack"]
    size = matmul.packed_size(k, n, precision)
    columns = simd.tile_shape(precision).columns
    expected, whole, in_parts = (np.zeros(size, precision) for _ in range(3))
    pack(b.ravel(), n, 1, expected, k, n, 0, k, 0, n)
    pack(b.T.ravel(), 1, k, whole, k, n, 0, k, 0, n)
    for j in range(0, n, columns):
        pack(b.T.ravel(), 1, k, in_parts, k, n, 0, k, j, min(j + columns, n))
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(in_parts, expected)


@pytest.mark.parametrize("precision", PRECISIONS)
@given(k=sizes, n=sizes)
def test_packing_in_parts_is_packing_at_once(precision, k, n):
    _, b = matrices(1, k, n, precision)
    pack = kernels_for(precision)["pack"]
    size = matmul.packed_size(k, n, precision)
    columns = simd.tile_shape(precision).columns
    whole, by_rows, by_columns = (np.zeros(size, precision) for _ in range(3))
    pack(b.ravel(), n, 1, whole, k, n, 0, k, 0, n)
    for p in range(k):
        pack(b.ravel(), n, 1, by_rows, k, n, p, p + 1, 0, n)
    for j in range(0, n, columns):
        pack(b.ravel(), n, 1, by_columns, k, n, 0, k, j, min(j + columns, n))
    np.testing.assert_array_equal(whole, by_rows)
    np.testing.assert_array_equal(whole, by_columns)
    np.testing.assert_allclose(whole.sum(dtype=float), b.sum(dtype=float), atol=1e-3)


def call_lane_sum(x, n):
    return add_lanes(x, 0, n)  # noqa: F821


def lane_sum(x, of="values"):
    """The kernels' sum of x (n,), or of its squares or sizes."""
    precision = x.dtype.name
    add = simd.make_lane_sum(precision, of=of)
    name = f"test_lane_sum_{precision}_{of}"
    return jit.bind(call_lane_sum, name, from_python=True, add_lanes=add)(x, len(x))


@pytest.mark.parametrize("precision", PRECISIONS)
@given(n=st.integers(0, 100))
def test_lane_sum_has_sixteen_lanes(precision, n):
    """Lane l adds the elements l, l + 16, ...; then the lanes are added in halves."""
    x = np.random.default_rng(n).standard_normal(n).astype(precision)
    lanes = np.zeros(16, precision)
    for i, value in enumerate(x):
        lanes[i % 16] += value
    while len(lanes) > 1:
        lanes = lanes[: len(lanes) // 2] + lanes[len(lanes) // 2 :]
    assert lane_sum(x) == lanes[0]
    np.testing.assert_allclose(lane_sum(x, "squares"), (x * x).sum(), rtol=1e-5)
    np.testing.assert_allclose(lane_sum(x, "sizes"), np.abs(x).sum(), rtol=1e-5)
