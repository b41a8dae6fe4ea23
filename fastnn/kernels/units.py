"""The templates of the units, each of which does one task of a step; catalog.py compiles them.

Every template is ``template(step, task, ...)``: the address of the step's int64 state, which of
its tasks to do, and its own int64 arguments, ``*_at`` being addresses. plan.py gives arguments
by these names.

Who writes: a unit overwrites its output (``=``) unless its comment says that it adds to it.
Shapes: ``rows`` is the rows of the mini-batch, a row of an activation or delta buffer is ``ld``
elements apart, and rows of the task are those from ``first`` to ``last``.
"""

from math import sqrt
from typing import NamedTuple

import numpy as np

from fastnn.kernels.memory import quotient, span, view
from fastnn.kernels.named import load, store
from fastnn.kernels.optimizers import AverageNumbers
from fastnn.kernels.plan import N_STEP, ORDER, ROW, ROWS, SKIP

# Places in the scalars (5,), float64: the weight of the mini-batch, the sum of the losses, the
# strengths of the L2 and the L1 penalty, and what the weights of the mini-batch were multiplied by.
WEIGHT_SUM, LOSS, ALPHA, ALPHA_1, LIFT = range(5)
N_SCALARS = 5


class Scaling(NamedTuple):
    """Factors that make the gradient of a penalised mean of that of a sum over a mini-batch."""

    scale: float
    alpha: float
    alpha_1: float


# Bounds for the largest weight of a mini-batch. Between them neither the products of deltas and
# weights nor 1 over the sum of the weights overflow or vanish, in float32 either.
LEAST_WEIGHT, MOST_WEIGHT = 2.0**-60, 2.0**60
# A sum starts from one of these.
ZERO, ADD, BIAS = range(3)
# Rows of a weight matrix whose squares are summed together; tasks own whole segments. It is a
# multiple of every panel's columns.
SEGMENT = 32


def rows_of_task(step, task, block):
    # First and one past the last row of the mini-batch that belong to the task.
    rows = view(step, N_STEP, np.int64)[ROWS]
    return task * block, min(task * block + block, rows)


def row_number(state, i):
    # The row of the data that comes at place i; without an order, row i.
    return view(state[ORDER], i + 1, np.int64)[i] if state[ORDER] != 0 else i


def begin_step(step, task, scalars_at, scaling_at):
    # The weight of a mini-batch whose rows all have weight 1.
    rows = view(step, N_STEP, np.int64)[ROWS]
    if is_first_thread():
        set_weight(np.float64(rows), 1.0, scalars_at, scaling_at)


def begin_weighted_step(
    step, task, weights_at, own_weights_at, batch_weights_at, scalars_at, scaling_at
):
    # own_weights (rows,) = the weights of the mini-batch's rows; batch_weights (rows,) = these,
    # lifted and rounded. Where their sum is zero there is nothing to train on.
    state = view(step, N_STEP, np.int64)  # (8,)
    rows, first = state[ROWS], state[ROW]
    weights = view(own_weights_at, rows, np.float64)  # (rows,)
    for r in by_threads(rows):
        row = row_number(state, first + r)
        weights[r] = view(weights_at, row + 1, np.float64)[row]
    sync()
    if is_first_thread():
        lift_weights(weights, view(batch_weights_at, rows, real), state, scalars_at, scaling_at)


def lift_weights(weights, batch_weights, state, scalars_at, scaling_at):
    least, most = 0.0, 0.0
    for r in range(weights.shape[0]):
        least, most = min(least, weights[r]), max(most, weights[r])
    lift = lift_of(max(most, -least))
    total, rounded = 0.0, 0.0
    for r in range(weights.shape[0]):
        weight = lift * weights[r]
        batch_weights[r] = weight
        total += weight
        rounded += np.float64(batch_weights[r])
    # Weights of both signs may cancel, and roundings would be what is left.
    total = total if least < 0.0 else rounded
    set_weight(total, lift, scalars_at, scaling_at)
    state[SKIP] = 1 if total == 0.0 else 0


def lift_of(largest):
    # The power of two by which the weights of a mini-batch are multiplied, whose largest has this
    # size: 1 if that is between the bounds. As the penalties are multiplied by it, too, the mean
    # over the mini-batch stays the same to the bit.
    lift = 1.0
    while 0.0 < largest * lift < LEAST_WEIGHT:
        lift *= 2.0
    while largest * lift > MOST_WEIGHT:
        lift *= 0.5
    return lift


def set_weight(total, lift, scalars_at, scaling_at):
    # The weight of the mini-batch, what makes a sum over it a mean, and its penalties.
    scalars = view(scalars_at, N_SCALARS, np.float64)  # (5,)
    scalars[WEIGHT_SUM], scalars[LIFT] = total, lift
    scaling = Scaling(1.0 / total, lift * scalars[ALPHA], lift * scalars[ALPHA_1])
    store(scaling_at, 0, 1, real, scaling)


def begin_update(
    step, task, rates_at, batch_size, step_rate_at, settings_at, scalars_at, coefficients_at
):
    # The optimizer's own part of a step, at the rate that rates (mini-batches,) has for it, which
    # step_rate (1,) keeps.
    if not is_first_thread():
        return
    batch = quotient(view(step, N_STEP, np.int64)[ROW], batch_size)
    rate = view(rates_at, batch + 1, np.float64)[batch]
    view(step_rate_at, 1, np.float64)[0] = rate
    settings = load(settings_at, 0, 1, np.float64, Settings)
    scalars = load(scalars_at, 0, 1, np.float64, Scalars)
    scalars, coefficients = begin(rate, settings, scalars)
    store(scalars_at, 0, 1, np.float64, scalars)
    store(coefficients_at, 0, 1, real, coefficients)


def gather(
    step, task, source_at, row_stride, column_stride, itemsize, target_at, ld, n_columns, block
):
    # target (rows, ld) = source rows in the mini-batch's order, cast.
    first, last = rows_of_task(step, task, block)
    state = view(step, N_STEP, np.int64)  # (8,)
    start = state[ROW]
    for r in by_warps(first, last):
        row = row_number(state, start + r)
        out = span(target_at, r * ld, r * ld + n_columns, real)  # (n_columns,)
        row_at = source_at + row * row_stride
        if column_stride == itemsize:
            values = view(row_at, n_columns, source_type)  # (n_columns,)
            for j in by_lanes(n_columns):
                out[j] = real(values[j])
        else:
            for j in by_lanes(n_columns):
                out[j] = real(view(row_at + j * column_stride, 1, source_type)[0])


def csr_starts(step, task, indptr_at, target_at):
    # target_start (rows + 1,): where each row of the mini-batch begins among its non-zeros.
    state = view(step, N_STEP, np.int64)  # (8,)
    rows, start = state[ROWS], state[ROW]
    target = view(target_at, rows + 1, np.int64)  # (rows + 1,)
    for r in by_threads(rows):
        row = row_number(state, start + r)
        bounds = view(indptr_at, row + 2, index_type)  # (n + 1,)
        target[r + 1] = np.int64(bounds[row + 1]) - np.int64(bounds[row])
    sync()
    if is_first_thread():
        target[0] = 0
        for r in range(rows):
            target[r + 1] += target[r]


def gather_csr(
    step,
    task,
    indptr_at,
    indices_at,
    values_at,
    target_start_at,
    target_indices_at,
    target_values_at,
    block,
):
    # The mini-batch's own CSR: column indices as int64, values cast.
    first, last = rows_of_task(step, task, block)
    state = view(step, N_STEP, np.int64)  # (8,)
    start = state[ROW]
    target_start = view(target_start_at, last + 1, np.int64)  # (rows + 1,)
    for r in by_warps(first, last):
        row = row_number(state, start + r)
        bounds = view(indptr_at, row + 2, index_type)  # (n + 1,)
        begin_source, end_source = np.int64(bounds[row]), np.int64(bounds[row + 1])
        size = end_source - begin_source
        indices = span(indices_at, begin_source, end_source, index_type)
        values = span(values_at, begin_source, end_source, source_type)
        begin_target, end_target = target_start[r], target_start[r + 1]
        to_indices = span(target_indices_at, begin_target, end_target, np.int64)
        to_values = span(target_values_at, begin_target, end_target, real)
        for j in by_lanes(size):
            to_indices[j] = np.int64(indices[j])
            to_values[j] = real(values[j])


def copy(source, target):
    # target = source. A loop from one array to another that may be the same does not vectorise.
    for i in by_threads(source.shape[0]):
        target[i] = source[i]


def sum_parts(step, task, parts_at, n_params, rows_block, gradient_at, offset, size, block):
    # gradient (n_params,) = sum of parts (ceil(rows / rows_block), n_params) in order, for
    # ``block`` of the ``size`` parameters that begin at ``offset``.
    rows = view(step, N_STEP, np.int64)[ROWS]
    low, high = offset + task * block, offset + min(task * block + block, size)
    gradient = span(gradient_at, low, high, real)  # (task's parameters,)
    first = span(parts_at, low, high, real)  # (task's parameters,)
    for j in by_threads(gradient.shape[0]):
        gradient[j] = first[j]
    for i in range(1, quotient(rows + rows_block - 1, rows_block)):
        shift = i * n_params
        values = span(parts_at, shift + low, shift + high, real)  # (task's parameters,)
        for j in by_threads(gradient.shape[0]):
            gradient[j] += values[j]


def segment_sums(step, task, values_at, n_rows, n_columns, sums_at, block):
    # sums (ceil(n_rows / 32),): of the squares, or the sizes, in each 32 rows of the values.
    values = view(values_at, n_rows * n_columns, real)  # (n_rows, n_columns)
    sums = view(sums_at, quotient(n_rows + SEGMENT - 1, SEGMENT), np.float64)  # (segments,)
    first, last = task * block, min(task * block + block, n_rows)
    for segment in by_warps(quotient(first, SEGMENT), quotient(last + SEGMENT - 1, SEGMENT)):
        row = segment * SEGMENT
        size = min(SEGMENT, n_rows - row) * n_columns
        sums[segment] = np.float64(lane_sum(values, row * n_columns, size))


def penalize(step, task, params_at, gradient_at, scaling_at, offset, size, block, decay):
    # The gradient of the mean loss with its penalties, of ``block`` parameters of the ``size``
    # that begin at ``offset``, from that of the sum over the mini-batch.
    low, high = offset + task * block, offset + min(task * block + block, size)
    scaling = load(scaling_at, 0, 1, real, Scaling)
    alpha = scaling.alpha if decay != 0 else real(0)
    alpha_1 = scaling.alpha_1 if decay != 0 else real(0)
    w = span(params_at, low, high, real)
    g = span(gradient_at, low, high, real)
    for i in by_threads(w.shape[0]):
        sign = real(1) if w[i] > real(0) else real(-1) if w[i] < real(0) else real(0)
        g[i] = (g[i] + alpha * w[i] + alpha_1 * sign) * scaling.scale


def clip(step, task, square_sums_at, n_sums, max_norm_at, scaling_at):
    # The factor that makes the norm of the whole gradient at most max_norm.
    squares = lane_sum(view(square_sums_at, n_sums, np.float64), 0, n_sums)
    max_norm = view(max_norm_at, 1, np.float64)[0]
    norm = sqrt(squares)
    # An infinite one is left, to be seen.
    factor = max_norm / norm if max_norm < norm < np.inf else 1.0
    if is_first_thread():
        store(scaling_at, 0, 1, real, Scaling(factor, 0.0, 0.0))


def update(
    step,
    task,
    params_at,
    gradient_at,
    slots_at,
    n_params,
    coefficients_at,
    scaling_at,
    offset,
    size,
    block,
    decay,
):
    # The optimizer's step for ``block`` parameters of the ``size`` that begin at ``offset``, which
    # the rule's slots (n_slots, n_params) are of, too.
    low, high = offset + task * block, offset + min(task * block + block, size)
    c = load(coefficients_at, 0, 1, real, Coefficients)
    scaling = load(scaling_at, 0, 1, real, Scaling)
    w = span(params_at, low, high, real)  # (task's parameters,)
    g = span(gradient_at, low, high, real)  # (task's parameters,)
    strength = strength_of(c, scaling, decay != 0)
    for i in by_threads(w.shape[0]):
        slots = load(slots_at, low + i, n_params, real, Slots)
        decayed, gradient = prepare(w[i], g[i], strength, scaling.scale)
        w[i], slots = step_of(decayed, gradient, slots, c)
        store(slots_at, low + i, n_params, real, slots)


def penalty_of(c, scaling, decay):
    # The strength of the penalty, for parameters that have one.
    return scaling.alpha if decay else real(0)


def add_penalty(w, g, alpha, scale):
    # A parameter, and the gradient of the mean loss with its penalty.
    return w, (g + alpha * w) * scale


def keep_of(c, scaling, decay):
    # The part that a step leaves of a parameter whose decay is decoupled.
    return c.keep if decay else real(1)


def decay_first(w, g, keep, scale):
    # The part of a parameter that is left, and the gradient of the mean loss.
    return keep * w, g * scale


def begin_average(step, task, numbers_at, weight_at):
    # The weight of this step's parameters in their average, which thus is one from the first on.
    if not is_first_thread():
        return
    numbers = load(numbers_at, 0, 1, np.float64, AverageNumbers)
    rest = numbers.rest * numbers.decay
    store(numbers_at, 0, 1, np.float64, AverageNumbers(numbers.decay, rest))
    view(weight_at, 1, real)[0] = (1.0 - numbers.decay) / (1.0 - rest)


def average(step, task, params_at, average_at, weight_at, offset, size, block):
    # The average of ``block`` parameters of the ``size`` that begin at ``offset``.
    low, high = offset + task * block, offset + min(task * block + block, size)
    weight = view(weight_at, 1, real)[0]
    w, mean = span(params_at, low, high, real), span(average_at, low, high, real)
    for i in by_threads(w.shape[0]):
        mean[i] += weight * (w[i] - mean[i])


def add_loss(step, task, row_loss_at, scalars_at, outputs):
    # scalars[LOSS] += sum of the rows' losses, each the mean over so many outputs.
    rows = view(step, N_STEP, np.int64)[ROWS]
    total = lane_sum(view(row_loss_at, rows, np.float64), 0, rows)
    if is_first_thread():
        view(scalars_at, N_SCALARS, np.float64)[LOSS] += total / np.float64(outputs)


def finish(step, task, row_loss_at, square_sums_at, sizes_at, n_sums, scalars_at, outputs):
    # scalars[LOSS] += the mini-batch's mean loss, with its penalties, times its rows.
    rows = view(step, N_STEP, np.int64)[ROWS]
    scalars = view(scalars_at, N_SCALARS, np.float64)  # (5,)
    loss = lane_sum(view(row_loss_at, rows, np.float64), 0, rows) / np.float64(outputs)
    squares = lane_sum(view(square_sums_at, n_sums, np.float64), 0, n_sums)
    sizes = lane_sum(view(sizes_at, n_sums, np.float64), 0, n_sums)
    loss += scalars[LIFT] * (0.5 * scalars[ALPHA] * squares)
    loss += scalars[LIFT] * (scalars[ALPHA_1] * sizes)
    if is_first_thread():
        scalars[LOSS] += loss / scalars[WEIGHT_SUM] * np.float64(rows)
