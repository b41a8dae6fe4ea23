"""Dropout: templates of its units, which leave elements out by masks that depend on no thread."""

import numpy as np

from fastnn.kernels.memory import span, view
from fastnn.kernels.random import is_kept, make_key
from fastnn.kernels.units import rows_of_task


def begin_random(step, task, steps_at, seed, n_layers, keys_at):
    # Count the step; keys (n_layers + 1,) of its masks, and of augmentation.
    if not is_first_thread():
        return
    steps = view(steps_at, 1, np.float64)  # (1,)
    steps[0] += 1.0
    keys = view(keys_at, n_layers + 1, np.int64)  # (n_layers + 1,)
    for layer in range(n_layers):
        keys[layer] = make_key(seed, np.int64(steps[0]), layer)
    # Augmentation's key is the same whatever the layers are.
    keys[n_layers] = make_key(seed, np.int64(steps[0]), -1)


def dropout(step, task, source_at, target_at, ld, n, keys_at, layer, threshold, scale_at, block):
    # target (rows, ld) = source where it is kept, times the scale; else 0. They may be one array.
    first, last = rows_of_task(step, task, block)
    key = view(keys_at, layer + 1, np.int64)[layer]
    scale = real(view(scale_at, 1, np.float64)[0])
    for r in by_warps(first, last):
        target = span(target_at, r * ld, r * ld + n, real)  # (n,)
        if target_at != source_at:
            copy_row(span(source_at, r * ld, r * ld + n, real), target)
        for j in by_lanes(n):
            kept = is_kept(key, r * n + j, threshold)
            target[j] = target[j] * scale if kept else real(0)


def copy_row(source, target):
    # target (n,) = source; a loop of its own, which vectorises, as `units.copy` does.
    for j in by_lanes(source.shape[0]):
        target[j] = source[j]


def dropout_csr(
    step, task, start_at, indices_at, values_at, n, keys_at, layer, threshold, scale_at, block
):
    # The same for the values of the mini-batch's CSR, of n columns, in place. The loop stands here
    # again, as one that looks up a column's number in every turn would not vectorise.
    first, last = rows_of_task(step, task, block)
    key = view(keys_at, layer + 1, np.int64)[layer]
    scale = real(view(scale_at, 1, np.float64)[0])
    starts = view(start_at, last + 1, np.int64)  # (rows + 1,)
    for r in by_warps(first, last):
        indices = span(indices_at, starts[r], starts[r + 1], np.int64)
        values = span(values_at, starts[r], starts[r + 1], real)
        for i in by_lanes(values.shape[0]):
            kept = is_kept(key, r * n + indices[i], threshold)
            values[i] = values[i] * scale if kept else real(0)
