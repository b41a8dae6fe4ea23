"""Inputs of a pass, as its first layer reads them: a dense X, a gathered copy of it, or a CSR."""

import numpy as np
from scipy import sparse

from fastnn.kernels import catalog
from fastnn.kernels.augmentation import Augmentation
from fastnn.kernels.buffers import padded
from fastnn.kernels.plan import Late


def read(X, rows, dtype, **how):
    """A `SparseInput` or a `DenseInput`, which alone depends on ``how`` its rows are used."""
    if sparse.issparse(X):
        return SparseInput(X, rows, dtype)
    return DenseInput(X, rows, dtype, **how)


def add_gather(plan, source, target, block, *, is_late=False):
    """In a chain over rows: target (rows, stride) = the mini-batch's rows of ``source``, cast."""
    place = {
        "source_at": source, "row_stride": source.strides[0], "column_stride": source.strides[1]
    }  # fmt: skip
    plan.add(
        catalog.gather_unit(target.dtype.name, source.dtype),
        **({name: Late(name) for name in place} if is_late else place),
        itemsize=source.itemsize, target_at=target, ld=target.shape[1],
        n_columns=source.shape[1], block=block,
    )  # fmt: skip


class DenseInput:
    """A dense X as the first layer reads it.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    rows : int
        Rows of the largest mini-batch.
    dtype : dtype
        The precision of the network.
    ordered : bool
        Whether the data's rows are used in an order of their own.
    is_late : bool
        Whether the plan is for many runs with few rows of one X after another, and is told before
        each where its X lies.

    Attributes
    ----------
    in_place : bool
        Whether the first layer reads X itself.
    matrix : ndarray
        X, or a buffer (rows, stride) for the mini-batch's rows of it.
    stride : int
    """

    is_sparse = False

    def __init__(self, X, rows, dtype, *, ordered=False, is_late=False):
        self.X, self.rows, self.is_late = X, rows, is_late
        row_bytes, column_bytes = X.strides
        self.in_place = (
            not ordered
            and not is_late
            and dtype == X.dtype
            and column_bytes == X.itemsize
            and row_bytes % X.itemsize == 0
        )
        if self.in_place:
            self.matrix, self.stride = X, row_bytes // X.itemsize
        else:
            self.stride = padded(X.shape[1], dtype.itemsize)
            self.matrix = np.zeros((rows, self.stride), dtype)  # (rows, stride)

    def add_begin(self, plan):
        """Nothing has to be done before rows are gathered."""

    def add_gather(self, plan, block, masks, augmentation):
        """In a chain over rows: gather the mini-batch's, augment them, and leave some out."""
        if self.in_place:
            return
        add_gather(plan, self.X, self.matrix, block, is_late=self.is_late)
        if augmentation is not None:
            augment = Augmentation(augmentation, self.matrix.dtype)
            augment.add(plan, self.matrix, self.stride, masks.keys[-1:], block)
        if masks.rates[0] > 0:
            masks.add(plan, 0, self.matrix, self.matrix, self.X.shape[1], block)


class SparseInput:
    """A sparse X as the first layer reads it: a CSR of the mini-batch's rows.

    Parameters
    ----------
    X : CSR matrix of shape (n, n_features)
    rows : int
        Rows of the largest mini-batch.
    dtype : dtype
        The precision of the network.
    """

    is_sparse, is_late, in_place = True, False, False

    def __init__(self, X, rows, dtype):
        self.X, self.rows = X, rows
        sizes = np.diff(X.indptr)
        largest = np.partition(sizes, len(sizes) - rows)[len(sizes) - rows :]
        capacity = int(largest.sum(dtype=np.int64))
        self.start = np.zeros(rows + 1, np.int64)  # (rows + 1,)
        self.indices = np.zeros(capacity, np.int64)  # (nnz,)
        self.values = np.zeros(capacity, dtype)  # (nnz,)

    @property
    def csr(self):
        """The mini-batch's rows as arguments of the units that read them."""
        return {"start_at": self.start, "indices_at": self.indices, "values_at": self.values}

    def add_begin(self, plan):
        """In a chain of one task: where each row of the mini-batch begins."""
        unit = catalog.csr_starts_unit(self.values.dtype.name, self.X.indptr.dtype)
        plan.add(unit, indptr_at=self.X.indptr, target_at=self.start)

    def add_gather(self, plan, block, masks, augmentation):
        """In a chain over rows: gather the mini-batch's and leave some out; none are augmented."""
        X, precision = self.X, self.values.dtype.name
        plan.add(
            catalog.gather_csr_unit(precision, X.data.dtype, X.indices.dtype),
            indptr_at=X.indptr, indices_at=X.indices, values_at=X.data,
            target_start_at=self.start, target_indices_at=self.indices,
            target_values_at=self.values, block=block,
        )  # fmt: skip
        if masks.rates[0] > 0:
            plan.add(
                catalog.dropout_csr_unit(precision), **self.csr, n=X.shape[1],
                **masks.arguments(0), block=block,
            )  # fmt: skip
