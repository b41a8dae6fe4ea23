"""The catalog of units: templates bound to mathematics and a precision, compiled on first need.

Each kind of unit has a function, which says what its template's open names are bound to: here, or
in the file of the layer whose own it is. Names of mathematics, such as ``exp``, come with the
precision; see elementary.py.
"""

import inspect
import math
from dataclasses import dataclass
from functools import cache
from types import CellType, FunctionType, ModuleType

import numpy as np

from fastnn.kernels import (
    dropout,
    elementary,
    image_units,
    muon_units,
    output_units,
    units,
)
from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.cpu import floats, jit, matmul, products, simd
from fastnn.kernels.dispatchers import is_dispatcher
from fastnn.kernels.fingerprint import fingerprint, is_numbas, look_up, references
from fastnn.kernels.losses import LINKS, LOSSES
from fastnn.kernels.optimizers import OPTIMIZERS

# Functions of `math` in whose place users' functions call ours.
USERS_MATHEMATICS = ("exp", "log", "log1p", "tanh")


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


@cache
def is_from_outside(template):
    """Whether a template is none of the kernels', but that of a user's layer."""
    return _is_users(template)


def compile_unit(template, precision, *labels, **factories):
    """Compile a template, or load it, for one precision and one piece of mathematics.

    Parameters
    ----------
    template : function
        One from outside the kernels, such as that of a user's layer, may be written as theirs are.
    precision : {"float32", "float64"}
    *labels : str
        The part of its name that distinguishes it from the template's other units.
    **factories : callable
        ``factory(precision)`` makes what is bound to that name, if it has to be compiled.
    """
    if is_from_outside(template):
        # The cache on disk knows what the kernels are, but not this.
        labels += (fingerprint(template),)
    name = "_".join((template.__name__, *labels, precision))
    fields = fields_of(template)

    def bindings():
        return _open_names(template, precision, factories)

    return Unit(name, jit.unit(template, name, bindings), fields)


def bound(function, *labels, **factories):
    """A factory for `compile_unit` of a plain function with the precision's mathematics.

    A user's function stays as it is, but that it calls ours; see `_users_bindings`.
    """

    def make_names(precision):
        if _is_users(function):
            return _users_bindings(function, precision)
        return _open_names(function, precision, factories)

    return _factory(function, labels, make_names)


def _factory(function, labels, make_names):
    """A factory of a function bound to the names that ``make_names(precision)`` returns."""

    def make(precision):
        module = (function.__module__ or "").removeprefix("fastnn.kernels.").replace(".", "_")
        label = "_".join((module, function.__name__, *labels))
        if _is_users(function):
            label = f"{label}_{fingerprint(function)}"
        return jit.bind(function, f"{label}_{precision}", **make_names(precision))

    return make


def _open_names(function, precision, factories):
    """The open names of a template: mathematics, factories, and functions of its module."""
    names = elementary.bindings(precision)
    names = names | {key: make(precision) for key, make in factories.items()}
    for name in function.__code__.co_names:
        helper = function.__globals__.get(name)
        if name in names and isinstance(helper, int) and helper != names[name]:
            raise NameError(f"{name} of {function.__module__} is a name of mathematics' too")
        if name not in names and isinstance(helper, FunctionType):
            names[name] = _helper(helper)(precision)
    return names


def _helper(function):
    """A factory of a function that templates call, which is written as they are."""
    return _factory(function, (), lambda precision: _open_names(function, precision, {}))


# ---- users' functions ------------------------------------------------------------------------


def _is_users(function):
    return not (function.__module__ or "").startswith("fastnn.kernels.")


def _users_bindings(function, precision):
    """Our functions for those globals of a user's function that stand for them.

    Where it reaches such a global through a module, it finds a copy of the module.
    """
    names = {}
    for reference in references(function.__code__):
        *modules, value = look_up(function, reference)
        replacement = _replacement(value, precision)
        if replacement is value:
            continue
        holder = names
        for name, module in zip(reference, modules, strict=False):
            if holder.get(name, module) is module:
                holder[name] = ModuleType(module.__name__)
                vars(holder[name]).update(vars(module))
            holder = vars(holder[name])
        holder[reference[len(modules)]] = replacement
    return names


def _replacement(value, precision):
    """A function of ours for one that users' functions call; anything else stays what it is."""
    for name in USERS_MATHEMATICS:
        if value is getattr(math, name):
            return elementary.bindings(precision)[name]
    if getattr(value, "__module__", None) is None or is_numbas(value):
        return value
    if isinstance(value, FunctionType):
        return bound(value)(precision)
    return _recompiled(value, precision) if is_dispatcher(value) else value


def _recompiled(dispatcher, precision):
    """An ``@njit`` function compiled anew, because it has frozen the globals of its first call."""
    function = dispatcher.py_func
    cells = [
        CellType(_replacement(cell.cell_contents, precision)) for cell in function.__closure__ or ()
    ]
    name = f"{function.__name__}_{fingerprint(dispatcher)}_{precision}"
    return jit.bind_again(dispatcher, name, tuple(cells), _users_bindings(function, precision))


def label_of(name, entry, *functions):
    """A name for an entry's functions; a user's has a hash, since another may take its name."""
    return "_".join((name, *map(fingerprint, functions))) if entry.is_users else name


def meaning(network):
    """Hashes of what users' activations in a network mean at present, as in the units' names."""
    entries = (ACTIVATIONS[name] for name in network.activations)
    return tuple(fingerprint(entry.forward) for entry in entries if entry.is_users)


# ---- the units -------------------------------------------------------------------------------
#
# Each unit has a function of its own, however short: whoever builds a plan asks for it by a name
# that can be searched for, and need not know its template and what that is bound to.


def constant(value):
    """A factory of a value that does not depend on the precision."""
    return lambda precision: value


def lane_sum(of, precision=None):
    """A factory of the sum of "values", "squares" or "sizes", in a unit's precision or another."""
    return lambda units_own: simd.make_lane_sum(precision or units_own, of=of)


def begin_step_unit(precision):
    return compile_unit(units.begin_step, precision)


def begin_weighted_step_unit(precision):
    return compile_unit(units.begin_weighted_step, precision)


def gather_unit(precision, source):
    return compile_unit(units.gather, precision, source.name, source_type=constant(source.type))


def csr_starts_unit(precision, index):
    return compile_unit(units.csr_starts, precision, index.name, index_type=constant(index.type))


def gather_csr_unit(precision, source, index):
    return compile_unit(
        units.gather_csr,
        precision,
        source.name,
        index.name,
        source_type=constant(source.type),
        index_type=constant(index.type),
    )


def _of_matmul(name):
    """A factory of "matmul" or of "pack"."""
    return lambda precision: matmul.bindings(precision)[name]


def multiply_at(precision):
    """The address of the one function that multiplies matrices of a precision."""
    return compile_unit(products.multiply, precision, matmul=_of_matmul("matmul")).address


def factors(precision):
    """Arguments that every product has: the address of `multiply`, and the bytes of an element."""
    return {"multiply_at": multiply_at(precision), "itemsize": np.dtype(precision).itemsize}


def product_unit(template):
    """A unit that needs no mathematics of a precision; see products.py."""
    name = template.__name__
    return Unit(name, jit.unit(template, name, dict), fields_of(template))


def multiply_rows_unit():
    return product_unit(products.multiply_rows)


def weight_gradient_unit():
    return product_unit(products.weight_gradient)


def part_gradient_unit():
    return product_unit(products.part_gradient)


def multiply_matrices_unit():
    return product_unit(products.multiply_matrices)


def pack_unit(precision):
    return compile_unit(products.pack_panels, precision, pack=_of_matmul("pack"))


def csr_matmul_unit(precision):
    return compile_unit(products.csr_matmul, precision)


def csr_gradient_unit(precision):
    return compile_unit(products.csr_gradient, precision)


def output_unit(precision, name):
    loss = LOSSES[name]
    label = label_of(name, loss, loss.value, loss.gradient)
    factories = {"value": bound(loss.value)}
    if loss.is_users:
        body = output_units.separate_loss
        for key in ("value", "gradient"):
            function = getattr(loss, key)
            of_two = bound(function)
            factories[key] = bound(
                output_units.without_parameter, label_of(key, loss, function), of_two=of_two
            )
    elif not loss.coupled:
        body = output_units.separate_loss
        factories["gradient"] = bound(loss.gradient)
    else:
        softmax = loss.out_activation == "softmax"
        body = output_units.softmax_loss if softmax else output_units.coupled_loss
    return compile_unit(
        output_units.output, precision, label, loss_and_delta=bound(body, label, **factories)
    )


def weigh_unit(precision):
    return compile_unit(output_units.weigh, precision)


def link_unit(precision, out_activation):
    if out_activation == "softmax":
        factory = bound(output_units.softmax_link)
    else:
        inverse_link = bound(LINKS[out_activation])
        factory = bound(output_units.separate_link, out_activation, inverse_link=inverse_link)
    return compile_unit(output_units.link, precision, out_activation, apply_link=factory)


def sum_parts_unit(precision):
    return compile_unit(units.sum_parts, precision)


def segment_sums_unit(precision, of):
    """The unit of sums ``of`` "squares" or of "sizes"."""
    return compile_unit(units.segment_sums, precision, of, lane_sum=lane_sum(of))


def begin_random_unit():
    return compile_unit(dropout.begin_random, "float64")


def dropout_unit(precision):
    return compile_unit(dropout.dropout, precision)


def dropout_csr_unit(precision):
    return compile_unit(dropout.dropout_csr, precision)


def augment_unit(precision):
    return compile_unit(
        image_units.augment,
        precision,
        displace=bound(image_units.displace),
        motion=bound(
            image_units.motion,
            sine_polynomial=lambda p: floats.make_polynomial("float64", image_units.SINE),
            cosine_polynomial=lambda p: floats.make_polynomial("float64", image_units.COSINE),
        ),
        change_contrast=bound(image_units.change_contrast, lane_sum=lane_sum("values")),
    )


def penalize_unit(precision):
    return compile_unit(units.penalize, precision)


def clip_unit(precision):
    return compile_unit(units.clip, precision, lane_sum=lane_sum("values", "float64"))


def finish_unit():
    return compile_unit(units.finish, "float64", lane_sum=lane_sum("values"))


def add_loss_unit():
    return compile_unit(units.add_loss, "float64", lane_sum=lane_sum("values"))


def begin_update_unit(precision, rule):
    optimizer = OPTIMIZERS[rule]
    return compile_unit(
        units.begin_update,
        precision,
        rule,
        begin=bound(optimizer.begin),
        Settings=constant(optimizer.settings),
        Scalars=constant(optimizer.scalars),
    )


def begin_average_unit(precision):
    return compile_unit(units.begin_average, precision)


def average_unit(precision):
    return compile_unit(units.average, precision)


def average_gradient_unit(precision):
    return compile_unit(muon_units.average_gradient, precision)


def normalize_matrix_unit(precision):
    lanes = lane_sum("values", "float64")
    return compile_unit(muon_units.normalize_matrix, precision, lane_sum=lanes)


def mix_unit(precision):
    return compile_unit(muon_units.mix, precision)


def orthogonal_update_unit(precision):
    return compile_unit(muon_units.orthogonal_update, precision)


def update_unit(precision, rule):
    optimizer = OPTIMIZERS[rule]
    return compile_unit(
        units.update,
        precision,
        rule,
        strength_of=bound(units.keep_of if optimizer.decoupled else units.penalty_of),
        prepare=bound(units.decay_first if optimizer.decoupled else units.add_penalty),
        step_of=bound(optimizer.update),
        Slots=constant(optimizer.slots),
        Coefficients=constant(optimizer.coefficients),
    )
