"""Rosenblatt's perceptrons: their sums, sample by sample, and the steps that errors cause.

One unit for each kind of X presents rows to any number of perceptrons, and either writes their
sums or lets them learn. All arithmetic is in float64, whatever X is. The weight w0 comes first, and
each row begins with an x0 of 1. A sum has 16 lanes: lane l sums the products l, l + 16, l + 32, ...
in order, and the lanes are added in halves. Where a row of a sparse X has no entry, a dense one
adds zero, so both have the same sum.
"""

import time

import numpy as np
from llvmlite import ir
from numba import types as nb
from numba.extending import intrinsic
from scipy import sparse

from fastnn.kernels import catalog
from fastnn.kernels.catalog import bound, constant, make_unit
from fastnn.kernels.cpu import threads
from fastnn.kernels.cpu.compiler import COMPILER
from fastnn.kernels.cpu.pace import SLICE
from fastnn.kernels.cpu.simd import SUM_LANES, data_pointer
from fastnn.kernels.memory import span, view

# Places in a job (24,), int64; *_AT are addresses. The first say what X is, and INDPTR_AT and
# INDICES_AT are for CSR alone.
VALUES_AT, ROW_STRIDE, COLUMN_STRIDE, VALUE_BYTES, N_FEATURES, INDPTR_AT, INDICES_AT = range(7)
# The weights (n_outputs, ld), float64, w0 first and zeros after the last.
WEIGHTS_AT, LD = range(7, 9)
# ROW_AT is room for a row, x0 first: its numbers as float64, for a dense X (ld,), with zeros after
# the last. PLACES_AT, for CSR, is room for their places among the weights, int64, and LANES_AT for
# the lanes of a sum.
ROW_AT, PLACES_AT, LANES_AT = range(9, 12)
# Rows FIRST to LAST of the order (n,), or of X if there is none, are presented to the perceptrons
# with the numbers (n_active,) at ACTIVE_AT.
FIRST, LAST, ORDER_AT, ACTIVE_AT, N_ACTIVE = range(12, 17)
# The sums (n, n_outputs) go to SUMS_AT. Where that is 0 the perceptrons learn. They need the one
# that is to say 1 for each row (n,), the size of all steps (1,) and of each row's (n,) or 0, the
# first weight that learns, and the errors of each perceptron (n_outputs,), which are added to.
SUMS_AT, TARGETS_AT, RATE_AT, SAMPLE_WEIGHT_AT, FIRST_WEIGHT, ERRORS_AT = range(17, 23)
N_JOB = 24
# The seconds of a sample, and of each product in a sum, are guesses until the first measurement.
SAMPLE_SECONDS, PRODUCT_SECONDS = 1e-7, 1e-9


def perceive(job_at):
    # Present rows to perceptrons, one at a time and in order, as each step depends on those before.
    job = view(job_at, N_JOB, np.int64)  # (24,)
    order_at, sums_at, n_active = job[ORDER_AT], job[SUMS_AT], job[N_ACTIVE]
    active = view(job[ACTIVE_AT], n_active, np.int64)  # (n_active,)
    ld = job[LD]
    for i in range(job[FIRST], job[LAST]):
        row = view(order_at, i + 1, np.int64)[i] if order_at != 0 else i
        n_stored = read_row(job, row)
        for k in range(n_active):
            output = active[k]
            weights = span(job[WEIGHTS_AT], output * ld, (output + 1) * ld, real)  # (ld,)
            total = weighted_sum(job, n_stored, weights)
            if sums_at != 0:
                view(sums_at, (row + 1) * n_active, real)[row * n_active + k] = total
            else:
                learn(job, row, n_stored, output, weights, total)


def learn(job, row, n_stored, output, weights, total):
    # Rosenblatt's rule, w += c (y - u) x, for a row of weight c.
    u = total > real(0)
    y = view(job[TARGETS_AT], row + 1, np.int64)[row] == output
    if u == y:
        return
    step = view(job[RATE_AT], 1, real)[0]
    if job[SAMPLE_WEIGHT_AT] != 0:
        step *= view(job[SAMPLE_WEIGHT_AT], row + 1, real)[row]
    # A row without weight is as good as absent.
    if step != real(0):
        add_row(job, n_stored, weights, -step if u else step)
        view(job[ERRORS_AT], output + 1, np.int64)[output] += 1


def read_dense(job, row):
    # row (ld,) = 1, then the row of X, read as `units.gather` does: a function that both called
    # would take longer to compile than the lines that it saves.
    size = job[N_FEATURES]
    target = span(job[ROW_AT], 1, size + 1, real)  # (n_features,)
    row_at, stride = job[VALUES_AT] + row * job[ROW_STRIDE], job[COLUMN_STRIDE]
    if stride == job[VALUE_BYTES]:
        values = view(row_at, size, source_type)  # (n_features,)
        for j in range(size):
            target[j] = real(values[j])
    else:
        for j in range(size):
            target[j] = real(view(row_at + j * stride, 1, source_type)[0])
    return size + 1


def sum_dense(job, n_stored, weights):
    lanes = view(job[LANES_AT], SUM_LANES, real)  # (16,)
    row = view(job[ROW_AT], weights.shape[0], real)  # (ld,)
    multiply_lanes(row, weights, weights.shape[0], lanes)
    return lane_sum(lanes, 0, SUM_LANES)


def add_dense(job, n_stored, weights, step):
    row = view(job[ROW_AT], n_stored, real)  # (n_features + 1,)
    for j in range(job[FIRST_WEIGHT], n_stored):
        weights[j] += step * row[j]


def read_csr(job, row):
    # row and places (n_stored,) = 1 and 0, then what X stores of the row.
    bounds = view(job[INDPTR_AT], row + 2, index_type)  # (n + 1,)
    first, last = np.int64(bounds[row]), np.int64(bounds[row + 1])
    size = last - first
    values = span(job[VALUES_AT], first, last, source_type)  # (n_stored - 1,)
    indices = span(job[INDICES_AT], first, last, index_type)  # (n_stored - 1,)
    target = span(job[ROW_AT], 1, size + 1, real)  # (n_stored - 1,)
    places = span(job[PLACES_AT], 1, size + 1, np.int64)  # (n_stored - 1,)
    for i in range(size):
        target[i] = real(values[i])
        places[i] = np.int64(indices[i]) + 1
    return size + 1


def sum_csr(job, n_stored, weights):
    row = view(job[ROW_AT], n_stored, real)  # (n_stored,)
    places = view(job[PLACES_AT], n_stored, np.int64)  # (n_stored,)
    lanes = view(job[LANES_AT], SUM_LANES, real)  # (16,)
    for j in range(SUM_LANES):
        lanes[j] = real(0)
    for i in range(n_stored):
        place = places[i]
        lanes[place & (SUM_LANES - 1)] += weights[place] * row[i]
    return lane_sum(lanes, 0, SUM_LANES)


def add_csr(job, n_stored, weights, step):
    row = view(job[ROW_AT], n_stored, real)  # (n_stored,)
    places = view(job[PLACES_AT], n_stored, np.int64)  # (n_stored,)
    for i in range(job[FIRST_WEIGHT], n_stored):
        weights[places[i]] += step * row[i]


@intrinsic
def multiply_lanes(typingctx, x, y, n, lanes):
    """lanes (16,) = the sums of x[i] * y[i] over every 16th i below n, a multiple of 16."""
    vector = ir.VectorType(ir.DoubleType(), SUM_LANES)
    word = ir.IntType(64)

    def codegen(context, builder, signature, values):
        def place(number, offset):
            pointer = data_pointer(context, builder, signature.args[number], values[number], offset)
            return builder.bitcast(pointer, vector.as_pointer())

        before = builder.block
        inside, after = (builder.append_basic_block(name) for name in ("lanes", "sums"))
        builder.branch(inside)
        builder.position_at_end(inside)
        i, total = builder.phi(word), builder.phi(vector)
        factors = [builder.load(place(number, i), align=8) for number in (0, 1)]
        # Two roundings, as for a sparse row.
        added = builder.fadd(total, builder.fmul(*factors))
        following = builder.add(i, ir.Constant(word, SUM_LANES))
        i.add_incoming(ir.Constant(word, 0), before)
        i.add_incoming(following, inside)
        total.add_incoming(ir.Constant(vector, [0.0] * SUM_LANES), before)
        total.add_incoming(added, inside)
        builder.cbranch(builder.icmp_signed("<", following, values[2]), inside, after)
        builder.position_at_end(after)
        builder.store(added, place(3, ir.Constant(word, 0)), align=8)
        return context.get_dummy_value()

    return nb.void(x, y, nb.int64, lanes), codegen


def _perceive_at(kind, weighted_sum, add_row, read_row):
    """The address of `perceive` for one kind of X."""

    unit = make_unit(
        perceive,
        "float64",
        kind,
        read_row=read_row,
        weighted_sum=bound(weighted_sum, lane_sum=catalog.lane_sum("values")),
        learn=bound(learn, add_row.__name__, add_row=bound(add_row)),
    )
    return COMPILER.compile(unit)


def _dense_at(source):
    read_row = bound(read_dense, source.name, source_type=constant(source.type))
    return _perceive_at(f"dense_{source.name}", sum_dense, add_dense, read_row)


def _csr_at(source, index):
    types = {"source_type": constant(source.type), "index_type": constant(index.type)}
    read_row = bound(read_csr, source.name, index.name, **types)
    return _perceive_at(f"csr_{source.name}_{index.name}", sum_csr, add_csr, read_row)


class Perceptrons:
    """Perceptrons, and the rows of X that they are to see.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, n_features), float32 or float64
        Any strides; CSR in canonical format.
    coef : ndarray of shape (n_outputs, n_features), float64
    intercept : ndarray of shape (n_outputs,), float64

    Attributes
    ----------
    weights : ndarray of shape (n_outputs, 1 + n_features)
        Intercepts and weights, copies of those given.
    """

    def __init__(self, X, coef, intercept):
        self.X = X
        (self.n_rows, n_features), self.n_outputs = X.shape, len(coef)
        ld = -(-(n_features + 1) // SUM_LANES) * SUM_LANES
        padded = np.zeros((self.n_outputs, ld))  # (n_outputs, ld)
        padded[:, 0], padded[:, 1 : n_features + 1] = intercept, coef
        self.weights = padded[:, : n_features + 1]
        self._job = np.zeros(N_JOB, dtype=np.int64)  # (24,)
        self._job_at = threads.address(self._job)
        self._arrays = {}
        self._job[N_FEATURES], self._job[LD] = n_features, ld
        self._point(WEIGHTS_AT, padded)
        self._point(LANES_AT, np.zeros(SUM_LANES))
        if sparse.issparse(X):
            self._unit_at = _csr_at(X.data.dtype, X.indices.dtype)
            size = self._read_csr(X)
        else:
            self._unit_at = _dense_at(X.dtype)
            size = self._read_dense(X, ld)
        # Seconds of a sample, by the last measurement.
        self._seconds = SAMPLE_SECONDS + PRODUCT_SECONDS * self.n_outputs * size

    def _read_dense(self, X, ld):
        """Say what X is; returns the most numbers of a row."""
        row = np.zeros(ld)  # (ld,)
        row[0] = 1
        self._job[ROW_STRIDE], self._job[COLUMN_STRIDE] = X.strides
        self._job[VALUE_BYTES] = X.itemsize
        self._point(VALUES_AT, X)
        self._point(ROW_AT, row)
        return ld

    def _read_csr(self, X):
        size = 1 + int(np.diff(X.indptr).max(initial=0))
        row, places = np.ones(size), np.zeros(size, dtype=np.int64)  # (size,)
        for place, array in (
            (VALUES_AT, X.data),
            (INDPTR_AT, X.indptr),
            (INDICES_AT, X.indices),
            (ROW_AT, row),
            (PLACES_AT, places),
        ):
            self._point(place, array)
        return size

    def sums(self):
        """The sums w0 + Σ wi xi of each row and perceptron, (n, n_outputs)."""
        sums = np.zeros((self.n_rows, self.n_outputs))  # (n, n_outputs)
        self._point(SUMS_AT, sums)
        self._activate(np.arange(self.n_outputs, dtype=np.int64))
        self._present()
        return sums

    def _point(self, place, array):
        """Put the address of an array into the job, and keep the array alive."""
        self._arrays[place] = array
        self._job[place] = threads.address(array)

    def _activate(self, active):
        """Present rows to these perceptrons, by their numbers (n_active,), int64."""
        self._point(ACTIVE_AT, active)
        self._job[N_ACTIVE] = len(active)

    def _present(self):
        """Present every row, in slices of time: Ctrl-C is seen between them."""
        first = 0
        while first < self.n_rows:
            count = min(max(1, int(SLICE / (self._seconds + 1e-12))), self.n_rows - first)
            self._job[FIRST], self._job[LAST] = first, first + count
            begin = time.perf_counter()
            threads.call(self._unit_at, self._job_at)
            self._seconds = (time.perf_counter() - begin) / count
            first += count


class Learner(Perceptrons):
    """Perceptrons that learn the rows of X, in place.

    Parameters
    ----------
    X, coef, intercept
        As in `Perceptrons`.
    targets : ndarray of shape (n,), int64
        The number of the one perceptron that is to say 1 for each row; another number if none is.
    rate : float
        The constant that every step is multiplied by.
    fit_intercept : bool
        Whether the intercepts learn.
    sample_weight : ndarray of shape (n,), float64, or None
        What the steps of each row are multiplied by. Rows of weight 0 are no errors.
    """

    def __init__(self, X, coef, intercept, targets, *, rate, fit_intercept, sample_weight=None):
        super().__init__(X, coef, intercept)
        self._point(TARGETS_AT, targets)
        self._point(RATE_AT, np.array([rate], dtype=np.float64))
        if sample_weight is not None:
            self._point(SAMPLE_WEIGHT_AT, sample_weight)
        self._job[FIRST_WEIGHT] = 0 if fit_intercept else 1
        self._errors = np.zeros(self.n_outputs, dtype=np.int64)  # (n_outputs,)
        self._point(ERRORS_AT, self._errors)
        self._activate(np.arange(self.n_outputs, dtype=np.int64))

    def run_epoch(self, order):
        """Present every row once.

        A perceptron that makes no error has not changed and will make none again, so it is
        presented with no more rows.

        Parameters
        ----------
        order : ndarray of shape (n,), int64
            The rows in the order of their presentation.

        Returns
        -------
        errors : int
            The errors, and so the steps, of all perceptrons.
        """
        self._errors[:] = 0
        self._point(ORDER_AT, order)
        self._present()
        errors = int(self._errors.sum())
        if errors and self.n_outputs > 1:
            self._activate(np.flatnonzero(self._errors).astype(np.int64, copy=False))
        return errors
