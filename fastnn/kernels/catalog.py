"""The catalog of units: templates, and what their open names are bound to.

Each kind of unit has a function, which says what its template's open names are bound to: here, or
in the file of the layer whose own it is. Names of mathematics, such as ``exp``, come with the
precision; see elementary.py. A unit is compiled where a plan of a device needs it first.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import CellType, FunctionType, ModuleType

from fastnn.kernels import (
    csr_units,
    dropout,
    elementary,
    floats,
    image_units,
    muon_units,
    output_units,
    units,
)
from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.dispatchers import is_dispatcher
from fastnn.kernels.fingerprint import fingerprint, is_numbas, look_up, references
from fastnn.kernels.losses import LINKS, LOSSES
from fastnn.kernels.optimizers import OPTIMIZERS

# Functions of `math` in whose place users' functions call ours.
USERS_MATHEMATICS = ("exp", "log", "log1p", "tanh")


@dataclass(frozen=True)
class Unit:
    """A template bound to a piece of mathematics and a precision.

    Parameters
    ----------
    name : str
        It distinguishes the unit from all others.
    template : callable
        ``template(step, task, ...)``, plain Python, all of its arguments int64.
    make_names : callable
        ``make_names(compiler)`` returns what its open names are bound to.
    """

    name: str
    template: Callable
    make_names: Callable

    @property
    def fields(self):
        """The names of its own arguments, in order."""
        return fields_of(self.template)


@cache
def fields_of(template):
    """Names of a template's own arguments, in order."""
    return tuple(inspect.signature(template).parameters)[2:]


@cache
def is_from_outside(template):
    """Whether a template is none of the kernels', but that of a user's layer."""
    return _is_users(template)


def make_unit(template, precision, *labels, **factories):
    """The unit of a template for one precision and one piece of mathematics.

    Parameters
    ----------
    template : function
        One from outside the kernels, such as that of a user's layer, may be written as theirs are.
    precision : {"float32", "float64"}
    *labels : str
        The part of its name that distinguishes it from the template's other units.
    **factories : callable
        ``factory(compiler, precision)`` makes what is bound to that name, if it has to be compiled.
    """
    if is_from_outside(template):
        # The cache on disk knows what the kernels are, but not this.
        labels += (fingerprint(template),)
    name = "_".join((template.__name__, *labels, precision))

    def make_names(compiler):
        return _open_names(compiler, template, precision, factories)

    return Unit(name, template, make_names)


def bound(function, *labels, **factories):
    """A factory for `make_unit` of a plain function with the precision's mathematics.

    A user's function stays as it is, but that it calls ours; see `_users_bindings`.
    """

    def make_names(compiler, precision):
        if _is_users(function):
            return _users_bindings(compiler, function, precision)
        return _open_names(compiler, function, precision, factories)

    return _factory(function, labels, make_names)


def _factory(function, labels, make_names):
    """A factory of a function bound to what ``make_names(compiler, precision)`` returns."""

    def make(compiler, precision):
        module = (function.__module__ or "").removeprefix("fastnn.kernels.").replace(".", "_")
        label = "_".join((module, function.__name__, *labels))
        if _is_users(function):
            label = f"{label}_{fingerprint(function)}"
        return compiler.bind(function, f"{label}_{precision}", **make_names(compiler, precision))

    return make


def _open_names(compiler, function, precision, factories):
    """The open names of a template: mathematics, factories, and functions of its module."""
    names = elementary.bindings(compiler, precision) | compiler.names(precision)
    names |= {key: make(compiler, precision) for key, make in factories.items()}
    for name in function.__code__.co_names:
        helper = function.__globals__.get(name)
        if name in names and isinstance(helper, int) and helper != names[name]:
            raise NameError(f"{name} of {function.__module__} is a name of mathematics' too")
        if name not in names and isinstance(helper, FunctionType):
            names[name] = _helper(helper)(compiler, precision)
    return names


def _helper(function):
    """A factory of a function that templates call, which is written as they are."""

    def make_names(compiler, precision):
        return _open_names(compiler, function, precision, {})

    return _factory(function, (), make_names)


# ---- users' functions ------------------------------------------------------------------------


def _is_users(function):
    return not (function.__module__ or "").startswith("fastnn.kernels.")


def _users_bindings(compiler, function, precision):
    """Our functions for those globals of a user's function that stand for them.

    Where it reaches such a global through a module, it finds a copy of the module.
    """
    names = {}
    for reference in references(function.__code__):
        *modules, value = look_up(function, reference)
        replacement = _replacement(compiler, value, precision)
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


def _replacement(compiler, value, precision):
    """A function of ours for one that users' functions call; anything else stays what it is."""
    for name in USERS_MATHEMATICS:
        if value is getattr(math, name):
            return elementary.bindings(compiler, precision)[name]
    if getattr(value, "__module__", None) is None or is_numbas(value):
        return value
    if isinstance(value, FunctionType):
        return bound(value)(compiler, precision)
    return _recompiled(compiler, value, precision) if is_dispatcher(value) else value


def _recompiled(compiler, dispatcher, precision):
    """An ``@njit`` function compiled anew, because it has frozen the globals of its first call."""
    function = dispatcher.py_func
    cells = [
        CellType(_replacement(compiler, cell.cell_contents, precision))
        for cell in function.__closure__ or ()
    ]
    name = f"{function.__name__}_{fingerprint(dispatcher)}_{precision}"
    names = _users_bindings(compiler, function, precision)
    return compiler.bind_again(dispatcher, name, tuple(cells), names)


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
    return lambda compiler, precision: value


def lane_sum(of, precision=None):
    """A factory of the sum of "values", "squares" or "sizes", in a unit's precision or another."""
    return lambda compiler, units_own: compiler.lane_sum(precision or units_own, of)


def begin_step_unit(precision):
    return make_unit(units.begin_step, precision)


def begin_weighted_step_unit(precision):
    return make_unit(units.begin_weighted_step, precision)


def gather_unit(precision, source):
    return make_unit(units.gather, precision, source.name, source_type=constant(source.type))


def csr_starts_unit(precision, index):
    return make_unit(units.csr_starts, precision, index.name, index_type=constant(index.type))


def gather_csr_unit(precision, source, index):
    return make_unit(
        units.gather_csr,
        precision,
        source.name,
        index.name,
        source_type=constant(source.type),
        index_type=constant(index.type),
    )


def csr_matmul_unit(precision):
    return make_unit(csr_units.csr_matmul, precision)


def csr_gradient_unit(precision):
    return make_unit(csr_units.csr_gradient, precision)


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
    return make_unit(
        output_units.output, precision, label, loss_and_delta=bound(body, label, **factories)
    )


def weigh_unit(precision):
    return make_unit(output_units.weigh, precision)


def link_unit(precision, out_activation):
    if out_activation == "softmax":
        factory = bound(output_units.softmax_link)
    else:
        inverse_link = bound(LINKS[out_activation])
        factory = bound(output_units.separate_link, out_activation, inverse_link=inverse_link)
    return make_unit(output_units.link, precision, out_activation, apply_link=factory)


def sum_parts_unit(precision):
    return make_unit(units.sum_parts, precision)


def segment_sums_unit(precision, of):
    """The unit of sums ``of`` "squares" or of "sizes"."""
    return make_unit(units.segment_sums, precision, of, lane_sum=lane_sum(of))


def begin_random_unit():
    return make_unit(dropout.begin_random, "float64")


def dropout_unit(precision):
    return make_unit(dropout.dropout, precision)


def dropout_csr_unit(precision):
    return make_unit(dropout.dropout_csr, precision)


def augment_unit(precision):
    return make_unit(
        image_units.augment,
        precision,
        displace=bound(image_units.displace),
        motion=bound(
            image_units.motion,
            sine_polynomial=lambda compiler, p: floats.make_polynomial("float64", image_units.SINE),
            cosine_polynomial=lambda compiler, p: floats.make_polynomial(
                "float64", image_units.COSINE
            ),
        ),
        change_contrast=bound(image_units.change_contrast, lane_sum=lane_sum("values")),
    )


def penalize_unit(precision):
    return make_unit(units.penalize, precision)


def clip_unit(precision):
    return make_unit(units.clip, precision, lane_sum=lane_sum("values", "float64"))


def finish_unit():
    return make_unit(units.finish, "float64", lane_sum=lane_sum("values"))


def add_loss_unit():
    return make_unit(units.add_loss, "float64", lane_sum=lane_sum("values"))


def begin_update_unit(precision, rule):
    optimizer = OPTIMIZERS[rule]
    return make_unit(
        units.begin_update,
        precision,
        rule,
        begin=bound(optimizer.begin),
        Settings=constant(optimizer.settings),
        Scalars=constant(optimizer.scalars),
    )


def begin_average_unit(precision):
    return make_unit(units.begin_average, precision)


def average_unit(precision):
    return make_unit(units.average, precision)


def average_gradient_unit(precision):
    return make_unit(muon_units.average_gradient, precision)


def normalize_matrix_unit(precision):
    lanes = lane_sum("values", "float64")
    return make_unit(muon_units.normalize_matrix, precision, lane_sum=lanes)


def mix_unit(precision):
    return make_unit(muon_units.mix, precision)


def orthogonal_update_unit(precision):
    return make_unit(muon_units.orthogonal_update, precision)


def update_unit(precision, rule):
    optimizer = OPTIMIZERS[rule]
    return make_unit(
        units.update,
        precision,
        rule,
        strength_of=bound(units.keep_of if optimizer.decoupled else units.penalty_of),
        prepare=bound(units.decay_first if optimizer.decoupled else units.add_penalty),
        step_of=bound(optimizer.update),
        Slots=constant(optimizer.slots),
        Coefficients=constant(optimizer.coefficients),
    )
