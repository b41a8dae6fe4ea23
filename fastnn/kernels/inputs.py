"""Inputs of a pass, as its first layer reads them: a dense X, a gathered copy of it, or a CSR."""

import numpy as np
from scipy import sparse

from fastnn.kernels import catalog
from fastnn.kernels.augmentation import Augmentation
from fastnn.kernels.buffers import padded
from fastnn.kernels.layers.base import Values
from fastnn.kernels.layers.kinds import OPERATIONS
from fastnn.kernels.plan import Late


def read(machine, network, X, rows, dtype, **how):
    """A `SparseInput` or a `DenseInput`, which alone depends on ``how`` its rows are used.

    Raises
    ------
    ValueError
        If X is sparse, and the first layer of the network cannot read that.
    """
    first = OPERATIONS[network.layers[0].kind]
    if not sparse.issparse(X):
        return DenseInput(machine, X, rows, dtype, may_stay=first.reads_in_place, **how)
    if not first.reads_sparse:
        raise ValueError(f"{network.layers[0]} cannot read a sparse X: give X.toarray().")
    return SparseInput(machine, X, rows, dtype)


def add_gather(plan, source, target, block, *, is_late=False):
    """In a chain over rows: target (rows, stride) = the mini-batch's rows of ``source``, cast."""
    source = plan.machine.mirror(source)
    place = {
        "source_at": source, "row_stride": source.strides[0], "column_stride": source.strides[1]
    }  # fmt: skip
    plan.add(
        catalog.gather_unit(target.dtype.name, source.dtype),
        **({name: Late(name) for name in place} if is_late else place),
        itemsize=source.itemsize,
        target_at=target,
        ld=target.shape[1],
        n_columns=source.shape[1],
        block=block,
    )


class DenseInput:
    """A dense X as the first layer reads it.

    Parameters
    ----------
    machine : fastnn.kernels.machine.Machine
    X : ndarray of shape (n, n_features)
    rows : int
        Rows of the largest mini-batch.
    dtype : dtype
        The precision of the network.
    may_stay : bool
        Whether the first layer can read X where it lies.
    ordered : bool
        Whether the data's rows are used in an order of their own.
    is_late : bool
        Whether the plan is for many runs with few rows of one X after another, and is told before
        each where its X lies.

    Attributes
    ----------
    in_place : bool
        Whether the first layer reads X itself.
    is_fed : bool
        Whether the host gathers the rows of each mini-batch, because X is too large for the
        machine's memory.
    values : Values
        X, or a buffer for the mini-batch's rows of it.
    """

    def __init__(self, machine, X, rows, dtype, *, may_stay=True, ordered=False, is_late=False):
        self.is_fed = machine.is_too_large(X)
        if not self.is_fed:
            X = machine.mirror(X)
        self.X, self.rows, self.is_late = X, rows, is_late
        row_bytes, column_bytes = X.strides
        self.in_place = (
            may_stay
            and not ordered
            and not is_late
            and not self.is_fed
            and dtype == X.dtype
            and column_bytes == X.itemsize
            and row_bytes % X.itemsize == 0
        )
        n = X.shape[1]
        if self.in_place:
            self.values = Values(X, row_bytes // X.itemsize, n, moves=True)
        else:
            stride = padded(n, dtype.itemsize)
            self.values = Values(machine.zeros((rows, stride), dtype), stride, n)  # (rows, stride)

    def add_begin(self, plan):
        """Nothing has to be done before rows are gathered."""

    def add_gather(self, plan, block, masks, augmentation):
        """In a chain over rows: gather the mini-batch's, augment them, and leave some out."""
        if self.in_place:
            return
        matrix, stride, n, _ = self.values
        if not self.is_fed:
            add_gather(plan, self.X, matrix, block, is_late=self.is_late)
        if augmentation is not None:
            augment = Augmentation(plan.machine, augmentation, matrix.dtype)
            augment.add(plan, matrix, stride, masks.keys[-1:], block)
        if masks.rates[0] > 0:
            masks.add(plan, 0, matrix, matrix, n, block)


class SparseInput:
    """A sparse X as the first layer reads it: a CSR of the mini-batch's rows.

    Parameters
    ----------
    machine : fastnn.kernels.machine.Machine
    X : CSR matrix of shape (n, n_features)
    rows : int
        Rows of the largest mini-batch.
    dtype : dtype
        The precision of the network.
    """

    # There is no matrix of its values.
    is_late, is_fed, values = False, False, None

    def __init__(self, machine, X, rows, dtype):
        self.X, self.rows = X, rows
        sizes = np.diff(X.indptr)
        largest = np.partition(sizes, len(sizes) - rows)[len(sizes) - rows :]
        capacity = int(largest.sum(dtype=np.int64))
        self.start = machine.zeros(rows + 1, np.int64)  # (rows + 1,)
        self.indices = machine.zeros(capacity, np.int64)  # (nnz,)
        self.non_zeros = machine.zeros(capacity, dtype)  # (nnz,)

    @property
    def csr(self):
        """The mini-batch's rows as arguments of the units that read them."""
        return {"start_at": self.start, "indices_at": self.indices, "values_at": self.non_zeros}

    def add_begin(self, plan):
        """In a chain of one task: where each row of the mini-batch begins."""
        unit = catalog.csr_starts_unit(self.non_zeros.dtype.name, self.X.indptr.dtype)
        plan.add(unit, indptr_at=self.X.indptr, target_at=self.start)

    def add_gather(self, plan, block, masks, augmentation):
        """In a chain over rows: gather the mini-batch's and leave some out; none are augmented."""
        X, precision = self.X, self.non_zeros.dtype.name
        plan.add(
            catalog.gather_csr_unit(precision, X.data.dtype, X.indices.dtype),
            indptr_at=X.indptr,
            indices_at=X.indices,
            values_at=X.data,
            target_start_at=self.start,
            target_indices_at=self.indices,
            target_values_at=self.non_zeros,
            block=block,
        )
        if masks.rates[0] > 0:
            plan.add(
                catalog.dropout_csr_unit(precision),
                **self.csr,
                n=X.shape[1],
                **masks.arguments(0),
                block=block,
            )
