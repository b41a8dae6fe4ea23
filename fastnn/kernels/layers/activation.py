"""Activations: templates of their units, and the operations of their layers.

See units.py for what templates are and how their comments say shapes and who writes.
"""

import numpy as np

from fastnn.kernels import catalog
from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.layers.base import Operations
from fastnn.kernels.memory import span, view
from fastnn.kernels.units import N_STEP, ROWS, ZERO, copy, rows_of_task


def activate(step, task, z_at, a_at, ld, block):
    # a (rows, ld) = activation of z, padding included. They may be one array.
    first, last = rows_of_task(step, task, block)
    a = span(a_at, first * ld, last * ld, real)  # (task's rows, ld)
    if a_at != z_at:
        copy(span(z_at, first * ld, last * ld, real), a)
    for i in by_threads(a.shape[0]):
        a[i] = forward(a[i])


def activate_learned(step, task, z_at, a_at, slope_at, ld, block):
    # The same for an activation with a parameter of its own, slope (1,).
    first, last = rows_of_task(step, task, block)
    slope = view(slope_at, 1, real)[0]
    a = span(a_at, first * ld, last * ld, real)  # (task's rows, ld)
    if a_at != z_at:
        copy(span(z_at, first * ld, last * ld, real), a)
    for i in by_threads(a.shape[0]):
        a[i] = forward(a[i], slope)


def backward(step, task, saved_at, delta_at, ld, block):
    # delta (rows, ld) *= derivative of the activation, a function of what was saved, its input or
    # its output; padding included.
    first, last = rows_of_task(step, task, block)
    saved = span(saved_at, first * ld, last * ld, real)  # (task's rows, ld)
    delta = span(delta_at, first * ld, last * ld, real)  # (task's rows, ld)
    for i in by_threads(delta.shape[0]):
        delta[i] = delta[i] * gradient(saved[i])


def backward_learned(step, task, saved_at, delta_at, ld, slope_at, terms_at, row_sums_at, block):
    # The same with a parameter of its own; row_sums (rows,) = each row's part of its gradient.
    first, last = rows_of_task(step, task, block)
    slope = view(slope_at, 1, real)[0]
    row_sums = view(row_sums_at, last, np.float64)  # (rows,)
    saved = span(saved_at, first * ld, last * ld, real)  # (task's rows, ld)
    delta = span(delta_at, first * ld, last * ld, real)  # (task's rows, ld)
    terms = span(terms_at, first * ld, last * ld, real)  # (task's rows, ld)
    for i in by_threads(delta.shape[0]):
        terms[i] = delta[i] * learned_gradient(saved[i])
    sync()
    for r in by_warps(first, last):
        row_sums[r] = np.float64(lane_sum(terms, (r - first) * ld, ld))
    for i in by_threads(delta.shape[0]):
        delta[i] = delta[i] * gradient(saved[i], slope)


def sum_rows(step, task, row_sums_at, target_at, init):
    # target (1,) = or += sum of row_sums (rows,).
    rows = view(step, N_STEP, np.int64)[ROWS]
    target = view(target_at, 1, real)  # (1,)
    total = lane_sum(view(row_sums_at, rows, np.float64), 0, rows)
    if is_first_thread():
        target[0] = real(total) if init == ZERO else target[0] + real(total)


def activate_unit(precision, activation):
    entry = ACTIVATIONS[activation]
    template = activate if entry.learned is None else activate_learned
    label = catalog.label_of(activation, entry, entry.forward)
    return catalog.make_unit(template, precision, label, forward=catalog.bound(entry.forward))


def backward_unit(precision, activation):
    entry = ACTIVATIONS[activation]
    gradient = catalog.bound(entry.gradient)
    if entry.learned is None:
        label = catalog.label_of(activation, entry, entry.gradient)
        return catalog.make_unit(backward, precision, label, gradient=gradient)
    return catalog.make_unit(
        backward_learned,
        precision,
        activation,
        gradient=gradient,
        learned_gradient=catalog.bound(entry.learned_gradient),
        lane_sum=catalog.lane_sum("values"),
    )


def sum_rows_unit(precision):
    return catalog.make_unit(sum_rows, precision, lane_sum=catalog.lane_sum("values", "float64"))


def add_activation(plan, unit, source, target, slope, block):
    """In a chain over rows: an activation's unit for source (rows, ld), which may be the target.

    ``slope`` is its own parameter, or None.
    """
    learned = {} if slope is None else {"slope_at": slope}
    plan.add(
        unit,
        z_at=source,
        a_at=target,
        ld=target.shape[1],
        block=block,
        **learned,
    )


class ActivationOperations(Operations):
    """The operations of a `fastnn.network.layers.activation.Activation`."""

    in_place = delta_in_place = True

    def __init__(self, layer, places, room, common):
        super().__init__(layer, places, room, common)
        self.entry = ACTIVATIONS[layer.name]
        self.slope = self.part(common.params, "slope") if places else None
        # Each row's part of the slope's gradient, (rows,).
        self.row_sums = None
        if places and room.delta is not None:
            self.row_sums = common.machine.zeros(common.rows, np.float64)

    @classmethod
    def reads_again(cls, layer):
        if layer.name == "identity":
            return False, False
        of_input = ACTIVATIONS[layer.name].gradient_of == "input"
        return of_input, not of_input

    def add_forward(self):
        common, source, target = self.common, self.room.input.matrix, self.room.output.matrix
        if self.layer.name != "identity" or source is not target:
            unit = activate_unit(common.precision, self.layer.name)
            add_activation(common.plan, unit, source, target, self.slope, common.row_block)

    def add_backward(self, gradient):
        if self.layer.name == "identity":
            return
        delta, learned = self.room.delta, {}
        if self.slope is not None:
            learned = {
                "slope_at": self.slope, "terms_at": self.common.zeros(delta.matrix.shape),
                "row_sums_at": self.row_sums,
            }  # fmt: skip
        saved = self.room.input if self.entry.gradient_of == "input" else self.room.output
        self.common.plan.add(
            backward_unit(self.common.precision, self.layer.name),
            saved_at=saved.matrix,
            delta_at=delta.matrix,
            ld=delta.stride,
            block=self.common.row_block,
            **learned,
        )

    def add_gradient(self, gradient, init):
        self.common.plan.add(
            sum_rows_unit(self.common.precision),
            row_sums_at=self.row_sums,
            target_at=self.part(gradient, "slope"),
            init=init,
        )
