"""Odd forms of what estimators are given: tables of functions by name, for `odd_inputs`.

Each makes of plain numbers what few people pass on, or shows the same numbers in another way.
"""

import array
import decimal
import fractions

import numpy as np
import pandas as pd
import polars as pl
from scipy import sparse

# ---- X ---------------------------------------------------------------------------------


# NumPy 1 has none.
StringDType = getattr(np.dtypes, "StringDType", lambda: object)


class OfArray:
    """An object that is only known to be convertible to an array."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)


class OfInterface:
    """An object that shows its memory by the older protocol of NumPy."""

    def __init__(self, values):
        self.values = values
        self.__array_interface__ = values.__array_interface__


class Subclass(np.ndarray):
    """A subclass without a behaviour of its own."""


def whole(A):
    return np.round(3 * A)


def objects(A, make):
    result = np.empty(A.shape, dtype=object)
    result[...] = np.vectorize(make, otypes=[object])(A)
    return result


def with_one(A, value):
    """A copy whose first element is another value."""
    A = A.copy()
    A[(0,) * A.ndim] = value
    return A


def read_only(A):
    A = A.copy()
    A.flags.writeable = False
    return A


def unaligned(A):
    return np.frombuffer(b"\0" + A.tobytes(), np.uint8)[1:].view(A.dtype).reshape(A.shape)


def frame(A, prefix="x"):
    return pd.DataFrame(A, columns=[f"{prefix}{i}" for i in range(A.shape[1])])


def frame_with(A, make):
    """A DataFrame whose first column is ``make`` of that column."""
    result = frame(A)
    result["x0"] = make(result["x0"])
    return result


def structured(A):
    return np.rec.fromarrays(list(A.T), names=[f"f{i}" for i in range(A.shape[1])])


ORDINARY = {
    "float64": lambda A: A,
    "float32": lambda A: A.astype(np.float32),
    "csr_matrix": sparse.csr_matrix,
    "DataFrame": frame,
    "int64": lambda A: whole(A).astype(np.int64),
}
DENSE = {
    "longdouble": lambda A: A.astype(np.longdouble),
    "float16": lambda A: A.astype(np.float16),
    "big-endian": lambda A: A.astype(">f8"),
    "bool": lambda A: A > 0,
    **{
        name: lambda A, name=name: whole(np.abs(A) if name[0] == "u" else A).astype(name)
        for name in ("int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64")
    },
    "complex": lambda A: A + 0j,
    "objects": lambda A: A.astype(object),
    "objects, whole": lambda A: objects(whole(A), int),
    "objects, bool": lambda A: objects(A, lambda a: bool(a > 0)),
    "objects, numbers as str": lambda A: objects(A, str),
    "objects, one str": lambda A: with_one(A.astype(object), "1.5"),
    "objects, one word": lambda A: with_one(A.astype(object), "word"),
    "objects, one None": lambda A: with_one(A.astype(object), None),
    "objects, one dict": lambda A: with_one(A.astype(object), {}),
    "objects, Fraction": lambda A: objects(A, fractions.Fraction),
    "objects, Decimal": lambda A: objects(A, decimal.Decimal),
    "objects, one complex": lambda A: with_one(A.astype(object), 1j),
    "str": lambda A: A.astype(str),
    "words": lambda A: np.full(A.shape, "word"),
    "bytes": lambda A: A.astype(str).astype(bytes),
    "StringDType": lambda A: A.astype(StringDType()),
    "datetime64": lambda A: whole(A).astype("datetime64[D]"),
    "NaT": lambda A: with_one(whole(A).astype("datetime64[D]"), np.datetime64("NaT")),
    "timedelta64": lambda A: whole(A).astype("timedelta64[s]"),
    "structured": structured,
    "list": lambda A: A.tolist(),
    "list of whole numbers": lambda A: whole(A).astype(int).tolist(),
    "tuples": lambda A: tuple(map(tuple, A.tolist())),
    "list of arrays": list,
    "list of ranges": lambda A: [range(i, i + A.shape[1]) for i in range(len(A))],
    "list of array.array": lambda A: [array.array("d", row) for row in A.tolist()],
    "list of Series": lambda A: [pd.Series(row) for row in A],
    "list of numbers as str": lambda A: A.astype(str).tolist(),
    "ragged list": lambda A: [[0.0] * (1 + i % 2) for i in range(len(A))],
    "memoryview": lambda A: memoryview(np.ascontiguousarray(A)),
    "matrix": np.matrix,
    "masked array": lambda A: np.ma.masked_greater(A, 1.0),
    "subclass": lambda A: A.view(Subclass),
    "__array__": OfArray,
    "__array_interface__": OfInterface,
    "Fortran": np.asfortranarray,
    "reversed": lambda A: np.ascontiguousarray(A[::-1, ::-1])[::-1, ::-1],
    "every other": lambda A: np.repeat(np.repeat(A, 2, axis=0), 2, axis=1)[::2, ::2],
    "zero strides": lambda A: np.broadcast_to(A[:1], A.shape),
    "read-only": read_only,
    "unaligned": unaligned,
    "1-D": lambda A: A.ravel(),
    "3-D": lambda A: A[:, :, None],
    "number": lambda A: 3.0,
    "None": lambda A: None,
    "text": lambda A: "text",
    "dict": lambda A: dict(enumerate(A.T.tolist())),
    "set": lambda A: {1.0, 2.0},
    "iterator": iter,
}
FRAMES = {
    "DataFrame of float32": lambda A: frame(A.astype(np.float32)),
    "DataFrame of float16": lambda A: frame(A.astype(np.float16)),
    "DataFrame of int8": lambda A: frame(whole(A).astype(np.int8)),
    "DataFrame of bool": lambda A: frame(A > 0),
    "DataFrame of objects": lambda A: frame(A.astype(object)),
    "DataFrame with int column": lambda A: frame_with(A, lambda c: (3 * c).round().astype(int)),
    "DataFrame with float32 column": lambda A: frame_with(A, lambda c: c.astype(np.float32)),
    "DataFrame with bool column": lambda A: frame_with(A, lambda c: c > 0),
    "DataFrame with Int64 column": lambda A: frame_with(
        A, lambda c: (3 * c).round().astype("Int64")
    ),
    "DataFrame of Int64": lambda A: frame(whole(A)).astype("Int64"),
    "DataFrame of Float32": lambda A: frame(A).astype("Float32"),
    "DataFrame of boolean": lambda A: frame(A > 0).astype("boolean"),
    "DataFrame with NA": lambda A: frame_with(
        A, lambda c: (3 * c).round().astype("Int64").where(c.index > 0)
    ),
    "DataFrame with categories": lambda A: frame_with(
        A, lambda c: (3 * c).round().astype("category")
    ),
    "DataFrame with words": lambda A: frame_with(A, lambda c: c.map(lambda _: "word")),
    "DataFrame with numbers as str": lambda A: frame_with(A, lambda c: c.astype(str)),
    "DataFrame with dates": lambda A: frame_with(
        A, lambda c: pd.to_datetime((3 * c).round().astype(int), unit="D")
    ),
    "DataFrame with durations": lambda A: frame_with(
        A, lambda c: pd.to_timedelta((3 * c).round().astype(int), unit="s")
    ),
    "DataFrame with complex column": lambda A: frame_with(A, lambda c: c + 0j),
    "DataFrame of Sparse": lambda A: frame(A).astype(pd.SparseDtype("float64", 0.0)),
    "DataFrame with numbered columns": pd.DataFrame,
    "DataFrame with mixed names": lambda A: frame(A).rename(columns={"x0": 0}),
    "DataFrame with equal names": lambda A: frame(A).rename(columns=lambda _: "x"),
    "DataFrame with other names": lambda A: frame(A, "z"),
    "DataFrame in another order": lambda A: frame(A).iloc[:, ::-1],
    "Series": lambda A: pd.Series(A[:, 0]) if A.shape[1] else pd.Series([]),
    "polars": lambda A: pl.DataFrame(frame(A).to_dict("list")),
    "polars of int": lambda A: pl.DataFrame(frame(whole(A).astype(int)).to_dict("list")),
    "polars of float32": lambda A: pl.DataFrame(frame(A).to_dict("list")).cast(pl.Float32),
    "polars of bool": lambda A: pl.DataFrame(frame(A > 0).to_dict("list")),
    "polars with null": lambda A: pl.DataFrame(frame(A).to_dict("list")).with_columns(
        pl.when(pl.int_range(pl.len()) > 0).then(pl.first())
    ),
    "polars of words": lambda A: pl.DataFrame(frame(A).to_dict("list")).cast(pl.String),
    "polars LazyFrame": lambda A: pl.DataFrame(frame(A).to_dict("list")).lazy(),
    "polars Series": lambda A: pl.Series(A[:, 0].tolist() if A.shape[1] else []),
}


def sparse_of(dtype):
    return lambda A: sparse.csr_array(whole(np.abs(A)).astype(dtype))


def explicit_zeros(A):
    rows, columns = np.indices(A.shape)
    result = sparse.csr_array((A.ravel(), (rows.ravel(), columns.ravel())), shape=A.shape)
    result.data[::2] = 0.0
    return result


def duplicates(A):
    A = sparse.csr_array(A)
    parts = np.repeat(A.data / 2, 2), np.repeat(A.indices, 2), 2 * A.indptr
    return sparse.csr_array(parts, shape=A.shape)


def int64_indices(A):
    A = sparse.csr_matrix(A)
    A.indices, A.indptr = A.indices.astype(np.int64), A.indptr.astype(np.int64)
    return A


def unsorted(A):
    A = sparse.csr_array(np.where(A == 0, 0.5, A))
    A.indices = np.ascontiguousarray(A.indices.reshape(A.shape)[:, ::-1]).ravel()
    A.has_sorted_indices = False
    return A


SPARSE = {
    **{
        f"{fmt}_{kind}": getattr(sparse, f"{fmt}_{kind}")
        for fmt in ("csr", "csc", "coo", "bsr", "dia", "lil", "dok")
        for kind in ("array", "matrix")
    },
    **{
        f"csr of {name}": sparse_of(name)
        for name in ("bool", "int8", "uint8", "int64", "uint64", "float32", "longdouble")
    },
    "csc of float32": lambda A: sparse.csc_matrix(A.astype(np.float32)),
    "csr of complex": lambda A: sparse.csr_array(A + 0j),
    "explicit zeros": explicit_zeros,
    "duplicates": duplicates,
    "int64 indices": int64_indices,
    "unsorted": unsorted,
    "1-D sparse": lambda A: sparse.coo_array(A.ravel()),
}
FORMS_OF_X = {**DENSE, **FRAMES, **SPARSE}
VALUES = {
    "NaN": lambda A: with_one(A, np.nan),
    "inf": lambda A: with_one(A, np.inf),
    "-inf": lambda A: with_one(A, -np.inf),
    "1e300": lambda A: 1e300 * A,
    "one 1e300": lambda A: with_one(A, 1e300),
    "1e150": lambda A: 1e150 * A,
    "1e30": lambda A: 1e30 * A,
    "1e-160": lambda A: 1e-160 * A,
    "1e-310": lambda A: 1e-310 * A,
    "-0.0": lambda A: -0.0 * np.abs(A),
    "constant columns": lambda A: np.broadcast_to(A[:1], A.shape).copy(),
    "zero rows": lambda A: np.where(np.arange(len(A))[:, None] % 2, A, 0.0),
}
SHAPES = {
    "one row": lambda A: A[:1],
    "two rows": lambda A: A[:2],
    "one column": lambda A: A[:, :1],
    "no rows": lambda A: A[:0],
    "no columns": lambda A: A[:, :0],
    "more columns": lambda A: np.hstack([A, A]),
}


# ---- sample_weight -----------------------------------------------------------------------

FORMS_OF_WEIGHT = {
    "None": lambda w: None,
    "float64": lambda w: w,
    "float32": lambda w: w.astype(np.float32),
    "float16": lambda w: w.astype(np.float16),
    "longdouble": lambda w: w.astype(np.longdouble),
    "int64": lambda w: np.ceil(w).astype(int),
    "uint8": lambda w: np.ceil(w).astype(np.uint8),
    "bool": lambda w: w > 1,
    "list": lambda w: w.tolist(),
    "list of str": lambda w: w.astype(str).tolist(),
    "objects": lambda w: w.astype(object),
    "words": lambda w: np.full(len(w), "word"),
    "complex": lambda w: w + 0j,
    "dates": lambda w: np.ceil(w).astype("datetime64[D]"),
    "Series": pd.Series,
    "Series with an index": lambda w: pd.Series(w, index=np.arange(len(w))[::-1] + 7),
    "Series with NA": lambda w: pd.Series(w, dtype="Float64").where(np.arange(len(w)) > 0),
    "DataFrame": lambda w: pd.DataFrame({"w": w}),
    "polars Series": lambda w: pl.Series(w.tolist()),
    "every other": lambda w: np.repeat(w, 2)[::2],
    "read-only": read_only,
    "matrix": np.matrix,
    "sparse": lambda w: sparse.csr_array(w[None]),
    "2": lambda w: 2,
    "0.5": lambda w: 0.5,
    "True": lambda w: True,
    "-1": lambda w: -1,
    "0": lambda w: 0,
    "NaN": lambda w: float("nan"),
    "inf": lambda w: float("inf"),
    "1j": lambda w: 1j,
    "np.float32(2)": lambda w: np.float32(2),
    "np.longdouble(2)": lambda w: np.longdouble(2),
    "Fraction(1, 2)": lambda w: fractions.Fraction(1, 2),
    "'2'": lambda w: "2",
    "array of no dimension": lambda w: np.array(2.0),
    "column": lambda w: w[:, None],
    "two columns": lambda w: np.c_[w, w],
    "too short": lambda w: w[:-1],
    "empty": lambda w: w[:0],
    "one NaN": lambda w: with_one(w, np.nan),
    "one inf": lambda w: with_one(w, np.inf),
    "one negative": lambda w: with_one(w, -0.75),
    "one very negative": lambda w: with_one(w, -50.0),
    "all negative": lambda w: -w,
    "first half zero": lambda w: np.where(np.arange(len(w)) < len(w) / 2, 0.0, w),
    "all but one zero": lambda w: with_one(0 * w, 2.0),
    "all zero": lambda w: 0 * w,
    "alternating": lambda w: 1.0 - 2.0 * (np.arange(len(w)) % 2),
    "1e-50": lambda w: 1e-50 * w,
    "1e-310": lambda w: 1e-310 * w,
    "1e-323": lambda w: 0 * w + 1e-323,
    "1e50": lambda w: 1e50 * w,
    "1e300": lambda w: 1e300 * w,
    "1e308": lambda w: 0 * w + 1e308,
}


# ---- parameters ------------------------------------------------------------------------


class Text(str):
    """A subclass of str."""


def sizes():
    # Made anew for each case: some can be read only once.
    return {
        "True": True,
        "4": 4,
        "np.int64(4)": np.int64(4),
        "np.uint8(4)": np.uint8(4),
        "array": np.array([3, 2]),
        "array of int8": np.array([4], np.int8),
        "tuple of np.int32": (np.int32(3),),
        "()": (),
        "[]": [],
        "empty array": np.array([]),
        "range": range(2, 4),
        "set": {3},
        "dict": {3: "x"},
        "Series": pd.Series([3, 2]),
        "bytearray": bytearray(b"\x03"),
        "array of no dimension": np.array(3),
        "list of such": [np.array(3)],
        "[True]": [True],
        "array of bool": np.array([True]),
        "array of float": np.array([3.0]),
        "[3.0]": [3.0],
        "[2.5]": [2.5],
        "3.0": 3.0,
        "array (1, 1)": np.array([[3]]),
        "array (1, 2)": np.array([[3, 2]]),
        "array (2, 1)": np.array([[3], [2]]),
        "[[3]]": [[3]],
        "[[3], 2]": [[3], 2],
        "five": (3,) * 5,
        "array.array": array.array("i", [3, 2]),
        "Fraction": fractions.Fraction(3),
        "generator": (n for n in (3, 2)),
        "iterator": iter([3]),
        "'3'": "3",
        "['3']": ["3"],
        "None": None,
        "[None]": [None],
        "0": 0,
        "-1": -1,
        "[0]": [0],
        "[3, 0]": [3, 0],
        "(3, -1)": (3, -1),
        "[nan]": [np.nan],
        "np.True_": np.True_,
        "False": False,
        "np.float64(3)": np.float64(3),
        "objects": np.array([3, 2], object),
        "masked array": np.ma.array([3, 2], mask=[False, True]),
        "polars": pl.Series([3, 2]),
        "complex": [3j],
        "[np.int64(2), True]": [np.int64(2), True],
    }


ODD_PARAMETERS = {
    "activation": [
        "identity", "logistic", "tanh", np.str_("tanh"), Text("logistic"), "RELU", None, 3,
    ],
    "solver": ["sgd", "adam", "lbfgs", np.str_("sgd"), Text("lbfgs"), "ADAM", None, 0],
    "alpha": [
        0, 1, True, np.float32(0.01), np.int64(1), fractions.Fraction(1, 10), np.longdouble(0.5),
        1e-320, 1e6, -1e-9, np.inf, "0", None, np.array(0.1), decimal.Decimal("0.1"), 1j,
    ],
    "batch_size": [
        "auto", np.str_("auto"), True, 1, 3, 5, 10**9, np.int64(4), np.uint8(3), 2.0, 0, None,
        np.array(3), "AUTO",
    ],
    "learning_rate": ["invscaling", "adaptive", np.str_("adaptive"), "CONSTANT", None, 0.1],
    "learning_rate_init": [
        True, 1, 0.5, np.float32(0.01), fractions.Fraction(1, 100), 1e-300, np.longdouble(0.01),
        0, -1, np.inf, np.array(0.1), "0.1", None,
    ],
    "power_t": [0, 1, True, 2.5, np.float32(0.5), -0.5, None, fractions.Fraction(1, 2)],
    "max_iter": [1, 2, True, np.int8(3), np.uint64(2), 3.0, 0, None, np.inf, "3"],
    "shuffle": [False, np.False_, np.True_, 1, 0, None, "yes"],
    "random_state": [
        0, 2**32 - 1, np.int64(3), np.uint32(3), True, "RandomState", None, -1, 2**32, 1.0, "0",
        "Generator", "module",
    ],
    "tol": [0, 1, 10.0, True, np.float32(1e-3), 1e-300, -1e-9, np.inf, None, "0"],
    "warm_start": [True, np.True_, np.False_, 1, None],
    "momentum": [0, 1, True, 0.5, np.float32(0.9), fractions.Fraction(1, 2), 1.1, None],
    "nesterovs_momentum": [False, np.False_, np.True_, 1, None],
    "early_stopping": [True, np.True_, np.False_, 1, None],
    "validation_fraction": [
        0.3, 0.5, 0.9, np.float32(0.25), 0, 0.0, False, 1, fractions.Fraction(1, 4), 1e-9, None,
    ],
    "beta_1": [0, False, 0.5, np.float32(0.9), 1.0, -0.1, None, fractions.Fraction(1, 2)],
    "beta_2": [0, False, 0.5, np.float32(0.9), 1.0, None, fractions.Fraction(1, 2)],
    "epsilon": [1, True, 1e-300, 1e-8, np.float32(1e-3), 0, np.inf, None],
    "n_iter_no_change": [1, True, np.inf, np.float32(np.inf), np.int64(2), 2.0, 0, None, -np.inf],
    "max_fun": [1, 3, True, np.int64(5), 2.5, 0, None],
    "loss": ["poisson", "squared_error", np.str_("poisson"), "mse", None],
}  # fmt: skip


def random_state_of(value):
    makers = {
        "RandomState": lambda: np.random.RandomState(5),
        "Generator": lambda: np.random.default_rng(5),
        "module": lambda: np.random,
    }
    # Only these words: numbers may equal others, such as True and 1.
    return makers[value]() if isinstance(value, str) and value in makers else value
