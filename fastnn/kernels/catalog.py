"""The catalog of units: templates bound to mathematics and a precision, compiled on first need.

A function here for each kind of unit says what its template's open names are bound to. Names of
mathematics, such as ``exp``, come with the precision; see elementary.py.
"""

import inspect
from dataclasses import dataclass
from functools import cache

from fastnn.kernels import elementary, jit, matmul, simd, units
from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.losses import LOSSES, clip_log_loss
from fastnn.kernels.optimizers import OPTIMIZERS


@dataclass(frozen=True)
class Unit:
    """A compiled unit: its name, its address, and the names of its arguments in order."""

    name: str
    address: int
    fields: tuple[str, ...]


@cache
def fields_of(template):
    """Names of a template's own arguments, in order."""
    return tuple(inspect.signature(template).parameters)[2:]


def compile_unit(template, precision, *labels, **factories):
    """Compile a template, or load it, for one precision and one piece of mathematics.

    Parameters
    ----------
    template : function
    precision : {"float32", "float64"}
    *labels : str
        What distinguishes it from the template's other units; part of its name.
    **factories : callable
        ``factory(precision)`` makes what is bound to that name, if it has to be compiled.
    """
    name = "_".join((template.__name__, *labels, precision))
    fields = fields_of(template)

    def bindings():
        names = elementary.bindings(precision)
        for helper in (units.rows_of_task, units.row_number):
            names = names | {helper.__name__: jit.bind(helper, helper.__name__)}
        return names | {key: make(precision) for key, make in factories.items()}

    return Unit(name, jit.unit(template, name, bindings), fields)


def bound(function, *labels, **factories):
    """A factory for `compile_unit` of a plain function with the precision's mathematics."""

    def make(precision):
        names = elementary.bindings(precision)
        names = names | {key: make(precision) for key, make in factories.items()}
        label = "_".join((function.__module__.split(".")[-1], function.__name__, *labels))
        return jit.bind(function, f"{label}_{precision}", **names)

    return make


def constant(value):
    """A factory of a value that does not depend on the precision."""
    return lambda precision: value


def begin_step_unit(precision):
    return compile_unit(units.begin_step, precision)


def gather_unit(precision, source):
    return compile_unit(units.gather, precision, source.name, source_type=constant(source.type))


def csr_starts_unit(precision, index):
    return compile_unit(units.csr_starts, precision, index.name, index_type=constant(index.type))


def gather_csr_unit(precision, source, index):
    return compile_unit(
        units.gather_csr, precision, source.name, index.name,
        source_type=constant(source.type), index_type=constant(index.type),
    )  # fmt: skip


def multiply_unit(precision):
    return compile_unit(
        units.multiply, precision, matmul=lambda precision: matmul.bindings(precision)["matmul"]
    )


def pack_unit(precision):
    return compile_unit(
        units.pack_panels, precision, pack=lambda precision: matmul.bindings(precision)["pack"]
    )


def csr_matmul_unit(precision):
    return compile_unit(units.csr_matmul, precision, add_scaled=bound(units.add_scaled))


def csr_gradient_unit(precision):
    return compile_unit(
        units.csr_gradient, precision, add_scaled=bound(units.add_scaled),
        first_not_below=bound(units.first_not_below),
    )  # fmt: skip


def activate_unit(precision, activation):
    return compile_unit(
        units.activate, precision, activation, forward=bound(ACTIVATIONS[activation].forward)
    )


def backward_unit(precision, activation):
    return compile_unit(
        units.backward, precision, activation, gradient=bound(ACTIVATIONS[activation].gradient)
    )


def output_unit(precision, name):
    loss = LOSSES[name]
    factories = {
        "value": bound(loss.value, clip_log_loss=bound(clip_log_loss)),
        "inverse_link": bound(loss.inverse_link),
    }
    if loss.coupled:
        factories |= {
            "softmax_exp": bound(units.softmax_exp),
            "softmax_normalize": bound(units.softmax_normalize),
        }
    body = units.softmax_loss if loss.coupled else units.separate_loss
    return compile_unit(
        units.output, precision, name, loss_and_delta=bound(body, name, **factories)
    )


def link_unit(precision, name):
    loss = LOSSES[name]
    if loss.coupled:
        factory = bound(
            units.softmax_link,
            softmax_exp=bound(units.softmax_exp),
            softmax_normalize=bound(units.softmax_normalize),
        )
    else:
        factory = bound(units.separate_link, name, inverse_link=bound(loss.inverse_link))
    return compile_unit(units.link, precision, loss.out_activation, apply_link=factory)


def sum_parts_unit(precision):
    return compile_unit(units.sum_parts, precision)


def square_sums_unit(precision):
    return compile_unit(
        units.square_sums, precision, lane_sum=lambda p: simd.make_lane_sum(p, squares=True)
    )


def finish_unit():
    return compile_unit(
        units.finish, "float64", lane_sum=lambda p: simd.make_lane_sum(p, squares=False)
    )


def add_loss_unit():
    return compile_unit(
        units.add_loss, "float64", lane_sum=lambda p: simd.make_lane_sum(p, squares=False)
    )


def begin_update_unit(precision, rule):
    begin = OPTIMIZERS[rule].begin
    return compile_unit(units.begin_update, precision, rule, begin=bound(begin))


def update_unit(precision, rule):
    optimizer = OPTIMIZERS[rule]
    body = units.update_one_slot if optimizer.n_slots == 1 else units.update_two_slots
    factory = bound(body, rule, step_of=bound(optimizer.update))
    return compile_unit(units.update, precision, rule, update_range=factory)
