"""Targets in forms that few people use, and in forms that no estimator takes."""

import array
import fractions

import numpy as np
import pandas as pd
import polars as pl
from scipy import sparse

from odd_forms import (
    SPARSE,
    OfArray,
    StringDType,
    frame,
    objects,
    read_only,
    unaligned,
    whole,
    with_one,
)

# ---- y ---------------------------------------------------------------------------------


def words(codes):
    return np.array(["no", "yes", "perhaps", "never"])[codes]


def indicator(codes, n_labels=3):
    return (codes[:, None] + np.arange(n_labels)) % 3 != 1


ORDINARY_CLASSES = {
    "int64": lambda c: c,
    "two of int64": lambda c: c % 2,
    "words": words,
    "indicator": lambda c: indicator(c).astype(int),
}


FORMS_OF_CLASSES = {
    "int8": lambda c: c.astype(np.int8),
    "uint8": lambda c: c.astype(np.uint8),
    "uint64, huge": lambda c: c.astype(np.uint64) + np.uint64(2**63),
    "int64, huge": lambda c: c + 2**62,
    "negative": lambda c: 1 - 2 * (c % 2),
    "bool": lambda c: c % 2 == 1,
    "float64": lambda c: c.astype(float),
    "two of float64": lambda c: (c % 2).astype(float),
    "float32": lambda c: c.astype(np.float32),
    "float16": lambda c: c.astype(np.float16),
    "longdouble": lambda c: c.astype(np.longdouble),
    "-0.0 and 0.0": lambda c: np.where(c % 2, -0.0, 0.0),
    "halves": lambda c: c / 2,
    "complex": lambda c: c + 0j,
    "two words": lambda c: words(c % 2),
    "objects, words": lambda c: words(c).astype(object),
    "objects, whole": lambda c: objects(c, int),
    "objects, float": lambda c: objects(c, float),
    "objects, bool": lambda c: objects(c % 2, bool),
    "objects, mixed": lambda c: with_one(objects(c, int), "word"),
    "objects, one None": lambda c: with_one(objects(c, int), None),
    "objects, one None in words": lambda c: with_one(words(c).astype(object), None),
    "objects, NaN": lambda c: with_one(objects(c, int), np.nan),
    "objects, dict": lambda c: objects(c, lambda _: {}),
    "objects, tuples": lambda c: objects(c, lambda a: (a,)),
    "bytes": lambda c: words(c).astype(bytes),
    "StringDType": lambda c: words(c).astype(StringDType()),
    "datetime64": lambda c: c.astype("datetime64[D]"),
    "timedelta64": lambda c: c.astype("timedelta64[s]"),
    "NaN": lambda c: with_one(c.astype(float), np.nan),
    "inf": lambda c: with_one(c.astype(float), np.inf),
    "column": lambda c: c[:, None],
    "column of words": lambda c: words(c)[:, None],
    "row": lambda c: c[None],
    "3-D": lambda c: c[:, None, None],
    "list": lambda c: c.tolist(),
    "list of words": lambda c: words(c).tolist(),
    "list of bool": lambda c: (c % 2 == 1).tolist(),
    "tuple": lambda c: tuple(c.tolist()),
    "range": lambda c: range(len(c)),
    "array.array": lambda c: array.array("l", c.tolist()),
    "memoryview": memoryview,
    "masked array": lambda c: np.ma.masked_equal(c, 1),
    "matrix": lambda c: np.matrix(c).T,
    "every other": lambda c: np.repeat(c, 2)[::2],
    "read-only": read_only,
    "big-endian": lambda c: c.astype(">i4"),
    "__array__": OfArray,
    "Series": pd.Series,
    "Series with an index": lambda c: pd.Series(c, index=np.arange(len(c))[::-1] + 7),
    "Series of words": lambda c: pd.Series(words(c)),
    "Series of Int64": lambda c: pd.Series(c, dtype="Int64"),
    "Series of boolean": lambda c: pd.Series(c % 2 == 1, dtype="boolean"),
    "Series of string": lambda c: pd.Series(words(c), dtype="string"),
    "Series of categories": lambda c: pd.Series(words(c), dtype="category"),
    "Series of ordered categories": lambda c: pd.Series(
        pd.Categorical(words(c), ["yes", "no", "perhaps", "never"], ordered=True)
    ),
    "Series of dates": lambda c: pd.Series(pd.to_datetime(c, unit="D")),
    "Series with NA": lambda c: pd.Series(c, dtype="Int64").where(np.arange(len(c)) > 0),
    "Categorical": lambda c: pd.Categorical(words(c)),
    "DataFrame": lambda c: pd.DataFrame({"y": c}),
    "polars Series": lambda c: pl.Series(c.tolist()),
    "polars Series of words": lambda c: pl.Series(words(c).tolist()),
    "polars DataFrame": lambda c: pl.DataFrame({"y": c.tolist()}),
    "one class": lambda c: 0 * c + 3,
    "one class of words": lambda c: words(0 * c),
    "a class for each": lambda c: np.arange(len(c)),
    "too short": lambda c: c[:-1],
    "number": lambda c: 1,
    "None": lambda c: None,
    "text": lambda c: "text",
    "indicator of bool": indicator,
    "indicator of float": lambda c: indicator(c).astype(float),
    "indicator of float32": lambda c: indicator(c).astype(np.float32),
    "indicator of objects": lambda c: indicator(c).astype(int).astype(object),
    "indicator as lists": lambda c: indicator(c).astype(int).tolist(),
    "indicator of -1 and 1": lambda c: 2 * indicator(c) - 1,
    "indicator with 2": lambda c: with_one(indicator(c).astype(int), 2),
    "indicator of two columns": lambda c: indicator(c, 2).astype(int),
    "indicator, all zero": lambda c: 0 * indicator(c),
    "indicator, all one": lambda c: 0 * indicator(c) + 1,
    "indicator as DataFrame": lambda c: frame(indicator(c).astype(int), "y"),
    "indicator as DataFrame of bool": lambda c: frame(indicator(c), "y"),
    "indicator, Fortran": lambda c: np.asfortranarray(indicator(c).astype(int)),
    "indicator with NaN": lambda c: with_one(indicator(c).astype(float), np.nan),
    **{
        f"indicator, {name}": lambda c, make=make: make(indicator(c).astype(int))
        for name, make in SPARSE.items()
        if name.startswith(("cs", "co", "li")) and " of " not in name
    },
    "sparse column": lambda c: sparse.csr_matrix(c[:, None]),
    "indicator, csr of bool": lambda c: sparse.csr_array(indicator(c)),
    "columns of classes": lambda c: np.c_[c, c[::-1]],
    "columns of words": lambda c: np.c_[words(c), words(c[::-1])],
    "lists of labels": lambda c: [list(range(a)) for a in c.tolist()],
}


ORDINARY_NUMBERS = {
    "float64": lambda t: t,
    "two columns": lambda t: np.c_[t, t**2],
    "int64": lambda t: whole(t).astype(int),
}


FORMS_OF_NUMBERS = {
    "float32": lambda t: t.astype(np.float32),
    "float16": lambda t: t.astype(np.float16),
    "longdouble": lambda t: t.astype(np.longdouble),
    "two columns of longdouble": lambda t: np.c_[t, t**2].astype(np.longdouble),
    "two columns of float32": lambda t: np.c_[t, t**2].astype(np.float32),
    "big-endian": lambda t: t.astype(">f8"),
    "int8": lambda t: whole(t).astype(np.int8),
    "uint8": lambda t: whole(np.abs(t)).astype(np.uint8),
    "uint64": lambda t: whole(np.abs(t)).astype(np.uint64),
    "bool": lambda t: t > 0,
    "two columns of bool": lambda t: np.c_[t > 0, t < 1],
    "complex": lambda t: t + 0j,
    "objects": lambda t: t.astype(object),
    "objects, Fraction": lambda t: objects(t, fractions.Fraction),
    "objects, numbers as str": lambda t: objects(t, str),
    "objects, words": lambda t: objects(t, lambda _: "word"),
    "objects, one None": lambda t: with_one(t.astype(object), None),
    "str": lambda t: t.astype(str),
    "bytes": lambda t: t.astype(str).astype(bytes),
    "StringDType": lambda t: t.astype(StringDType()),
    "datetime64": lambda t: whole(t).astype("datetime64[D]"),
    "timedelta64": lambda t: whole(t).astype("timedelta64[s]"),
    "column": lambda t: t[:, None],
    "row": lambda t: t[None],
    "3-D": lambda t: t[:, None, None],
    "two columns, Fortran": lambda t: np.asfortranarray(np.c_[t, t**2]),
    "list": lambda t: t.tolist(),
    "list of lists": lambda t: np.c_[t, t**2].tolist(),
    "tuple": lambda t: tuple(t.tolist()),
    "range": lambda t: range(len(t)),
    "array.array": lambda t: array.array("d", t.tolist()),
    "memoryview": memoryview,
    "masked array": lambda t: np.ma.masked_greater(t, 1.0),
    "matrix": lambda t: np.matrix(t).T,
    "every other": lambda t: np.repeat(t, 2)[::2],
    "read-only": read_only,
    "unaligned": unaligned,
    "zero strides": lambda t: np.broadcast_to(t[:1], t.shape),
    "__array__": OfArray,
    "Series": pd.Series,
    "Series of float32": lambda t: pd.Series(t, dtype=np.float32),
    "Series of Float64": lambda t: pd.Series(t, dtype="Float64"),
    "Series of Int64": lambda t: pd.Series(whole(t)).astype("Int64"),
    "Series of categories": lambda t: pd.Series(whole(t)).astype("category"),
    "Series with NA": lambda t: pd.Series(t, dtype="Float64").where(np.arange(len(t)) > 0),
    "Series of dates": lambda t: pd.Series(pd.to_datetime(whole(t).astype(int), unit="D")),
    "DataFrame": lambda t: pd.DataFrame({"y": t}),
    "DataFrame of two columns": lambda t: pd.DataFrame({"y": t, "z": whole(t).astype(int)}),
    "polars Series": lambda t: pl.Series(t.tolist()),
    "polars DataFrame": lambda t: pl.DataFrame({"y": t.tolist(), "z": t.tolist()}),
    "NaN": lambda t: with_one(t, np.nan),
    "inf": lambda t: with_one(t, np.inf),
    "1e200": lambda t: 1e200 * t,
    "1e30": lambda t: 1e30 * t,
    "1e-200": lambda t: 1e-200 * t,
    "1e-310": lambda t: 1e-310 * t,
    "zero": lambda t: 0.0 * t,
    "constant": lambda t: 0.0 * t + 2.0,
    "too short": lambda t: t[:-1],
    "no columns": lambda t: np.zeros((len(t), 0)),
    "number": lambda t: 1.5,
    "None": lambda t: None,
    **{
        f"{name} of two columns": lambda t, make=make: make(np.c_[whole(t), t])
        for name, make in SPARSE.items()
        if name.startswith(("cs", "co", "li")) and " of " not in name
    },
    "csr_array of one column": lambda t: sparse.csr_array(t[:, None]),
    "csr_matrix of one column": lambda t: sparse.csr_matrix(t[:, None]),
    "csr of int, two columns": lambda t: sparse.csr_array(whole(np.c_[t, -t]).astype(int)),
}
