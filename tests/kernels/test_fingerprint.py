"""A registered function means all that it reaches, as that is when a fit begins."""

import ctypes
import dataclasses
import enum
import functools
import math
import sys
import types
from collections import namedtuple
from math import exp, tanh

import numba
import numpy as np
import pytest

from common import make_problem, run_python
from fastnn import MLPRegressor, register_activation, register_loss
from fastnn.kernels import activations
from fastnn.kernels.fingerprint import fingerprint, references

SMALL = dict(hidden_layer_sizes=(6,), max_iter=3, random_state=0)

settings = types.ModuleType("settings")
settings.inner = types.ModuleType("settings.inner")
Point = namedtuple("Point", "a b")
POINT = Point(1.0, 2.0)
TABLE = np.arange(2000.0)
CONSTANT = 0.5


class Color(enum.Enum):
    RED = 1.0
    BLUE = 2.0


def in_module(code, module=settings):
    """The functions that code defines in a module."""
    exec(code, vars(module))
    return module


in_module("""
from numba import njit
from math import exp
import math
SLOPE, FACTOR = 0.25, 2.0
inner.SLOPE = 0.25

def helper(x):
    return SLOPE * x

@njit
def jitted(x):
    return FACTOR * x

def make(slope):
    @njit
    def closed(x):
        return slope * FACTOR * x
    return closed

closed = make(0.5)

def by_exp(x):
    return exp(-x * x)

def by_math_exp(x):
    return math.exp(-x * x)
""")


def attribute(x):
    return settings.SLOPE * x


def attribute_of_inner(x):
    return settings.inner.SLOPE * x


def by_helper(x):
    return settings.helper(x)


def by_jitted(x):
    return settings.jitted(x)


def by_closed(x):
    return settings.closed(x)


def by_enumeration(x):
    return Color.RED.value * x


def by_named_tuple(x):
    return POINT.b * x


def by_array(x):
    return TABLE[1000] * x


def by_inner_function(x):
    def scale(t):
        return settings.SLOPE * t

    return scale(x)


def by_conditional(x):
    return x if x > 0 else settings.LATER * x


def one(x):
    return 1.0


CHANGES = {
    "attribute of a module": (attribute, settings, "SLOPE", 0.5),
    "attribute of a submodule": (attribute_of_inner, settings.inner, "SLOPE", 0.5),
    "global of a helper in a module": (by_helper, settings, "SLOPE", 0.5),
    "global of an njit function": (by_jitted, settings, "FACTOR", 3.0),
    "global of an njit closure": (by_closed, settings, "FACTOR", 3.0),
    "variable of an njit closure": (by_closed, settings, "closed", settings.make(0.75)),
    "njit function": (by_jitted, settings, "jitted", numba.njit(lambda x: 5 * x)),
    "global of a function inside": (by_inner_function, settings, "SLOPE", 0.5),
    "named tuple": (by_named_tuple, None, "POINT", Point(1.0, 3.0)),
    "array": (by_array, None, "TABLE", np.arange(2000.0) + 1),
    "int that becomes a float": (attribute, settings, "SLOPE", 1),
    "module": (attribute, None, "settings", in_module("SLOPE = 2.0", types.ModuleType("other"))),
    "shadowed builtin": (one, None, "float", 3),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_what_a_function_uses_is_a_change_of_its_meaning(name, monkeypatch):
    function, owner, key, value = CHANGES[name]
    if name == "shadowed builtin":

        def function(x):
            return float(x)

    before = fingerprint(function)
    assert fingerprint(function) == before
    monkeypatch.setitem(vars(owner) if owner else globals(), key, value)
    after = fingerprint(function)
    assert after != before
    monkeypatch.undo()
    assert fingerprint(function) == before


def test_an_enumeration_counts_by_its_members(monkeypatch):
    before = fingerprint(by_enumeration)
    monkeypatch.setitem(globals(), "Color", enum.Enum("Color", {"RED": 3.0, "BLUE": 2.0}))
    assert fingerprint(by_enumeration) != before


def test_an_array_counts_by_its_contents():
    before = fingerprint(by_array)
    TABLE[1000] += 1  # in the middle, which a repr leaves out
    changed = fingerprint(by_array)
    TABLE[1000] -= 1
    assert changed != before == fingerprint(by_array)


def test_a_default_counts_by_its_contents():
    def function(x, table=TABLE):
        return table[1000] * x

    before = fingerprint(function)
    TABLE[1000] += 1
    changed = fingerprint(function)
    TABLE[1000] -= 1
    assert changed != before


def test_a_global_may_be_defined_later(monkeypatch):
    before = fingerprint(by_conditional)
    monkeypatch.setattr(settings, "LATER", 0.5, raising=False)
    assert fingerprint(by_conditional) != before


def test_names_of_arguments_count():
    """By them a function may be called; bytecode has only their numbers."""
    first, second = types.ModuleType("first"), types.ModuleType("second")
    in_module("def f(a, b): return a - b", first)
    in_module("def f(b, a): return b - a", second)
    assert first.f.__code__.co_code == second.f.__code__.co_code
    assert fingerprint(first.f) != fingerprint(second.f)


def test_options_of_njit_count():
    plain, fast = (numba.njit(**options)(one) for options in ({}, {"fastmath": {"nnan", "nsz"}}))
    typed = numba.njit("float64(float64)")(one)
    assert len({fingerprint(f) for f in (one, plain, fast, typed)}) == 4


def test_the_name_and_the_place_of_a_function_do_not_count():
    first, second = types.ModuleType("first"), types.ModuleType("second")
    in_module("def f(x): return x + 1", first)
    in_module("\n\ndef g(x): return x + 1", second)
    assert fingerprint(first.f) == fingerprint(second.g)


def test_references_of_code():
    def function(x):
        y = math.exp(settings.inner.SLOPE * x) + CONSTANT

        def inner(t):
            return abs(t) if t in {1.0, 2.0} else settings.SLOPE

        return inner(y)

    assert set(references(function.__code__)) == {
        ("math", "exp"),
        ("settings", "inner", "SLOPE"),
        ("CONSTANT",),
        ("abs",),
        ("settings", "SLOPE"),
    }


FINGERPRINT = """
import json, fastnn
from fastnn.kernels.fingerprint import fingerprint
def f(x, kind="a"):
    return x if kind in {"a", "b", "c", "d"} else 2 * x
print(json.dumps(fingerprint(f)))
"""


@pytest.mark.slow
def test_it_is_the_same_in_every_process():
    found = {run_python(FINGERPRINT, PYTHONHASHSEED=str(seed)) for seed in range(3)}
    assert len(found) == 1


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.exp(x) * np.pi + np.float32(1),
        lambda x: math.sqrt(abs(x)) + max(x, math.pi),
        lambda x: np.clip(x, 0.0, 1.0) if np.isscalar(x) else x,
        lambda x: activations.logistic(x),
        lambda x: numba.float32(x),
        lambda x: Point(x, x).a,
    ],
)
def test_what_python_numpy_and_numba_have_is_accepted(function):
    assert fingerprint(function)


@pytest.mark.parametrize("is_file", [True, False])
def test_a_module_with_the_name_of_one_of_pythons(is_file, monkeypatch, tmp_path):
    """A user's module counts by its contents though Python has one of its name."""
    module = types.ModuleType("antigravity")
    module.SLOPE = 1.0
    if is_file:
        module.__file__ = str(tmp_path / "antigravity.py")
        monkeypatch.setitem(sys.modules, "antigravity", module)
    monkeypatch.setitem(globals(), "antigravity", module)

    def function(x):
        return antigravity.SLOPE * x  # noqa: F821

    before = fingerprint(function)
    module.SLOPE = 2.0
    assert fingerprint(function) != before


# ---- what is refused -------------------------------------------------------------------------


@dataclasses.dataclass
class Parameters:
    slope: float = 1.0


class Plain:
    SLOPE = 1.0


def uses_value(x):
    return x if x == 0.5 else settings.VALUE


def recursive(x):
    return x if x < 1 else recursive(x - 1)


def mutually_recursive(x):
    return x if x < 1 else settings.back(x - 1)


def closing():
    slope = 2.0
    return lambda x: slope * x


REFUSED = {
    "list": ([1.0], "an object of type list"),
    "dict": ({"a": 1.0}, "an object of type dict"),
    "set": ({1.0}, "an object of type set"),
    "partial": (functools.partial(one, 1.0), "an object of type partial"),
    "dataclass": (Parameters(), "an object of type Parameters"),
    "class": (Plain, "the class Plain"),
    "ctypes": (ctypes.CDLL(None).abs if sys.platform == "linux" else [1], "an object of type"),
    "ufunc": (np.frompyfunc(one, 1, 1), "an object of type ufunc"),
    "vectorize": (numba.vectorize(one), "an object of type DUFunc"),
    "array of objects": (np.array([None]), "an object of type ndarray"),
    "array of another class": (np.ma.masked_array([1.0]), "an object of type MaskedArray"),
    "method": (Parameters().__repr__, "an object of type method"),
    "tuple of lists": (([1.0],), "an object of type list"),
    "subclass of float": (type("Number", (float,), {})(1.0), "an object of type Number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_change_unseen_is_refused(name, monkeypatch):
    value, kind = REFUSED[name]
    monkeypatch.setattr(settings, "VALUE", value, raising=False)

    message = f"uses_value' uses 'settings.VALUE', {kind}.*Make it a global number, tuple, NumPy"
    with pytest.raises(TypeError, match=message):
        register_activation("refused", uses_value, one)
    with pytest.raises(TypeError, match=message):
        register_loss("refused", lambda x, y: uses_value(x), lambda x, y: x)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: getattr(settings, "SLOPE") * x,  # noqa: B009
        lambda x: (settings if x > 0 else settings.inner).SLOPE * x,
    ],
)
def test_a_module_that_is_handed_around_is_refused(function):
    with pytest.raises(TypeError, match="uses 'settings', an object of type module"):
        register_activation("refused", function, one)


def test_functions_as_defaults_are_refused():
    with pytest.raises(TypeError, match="uses the default of an argument, an object of type func"):
        register_activation("refused", lambda x, f=one: f(x), one)


def test_recursion_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="'recursive' calls itself.*Write it as a loop"):
        register_activation("refused", recursive, one)
    monkeypatch.setattr(settings, "back", mutually_recursive, raising=False)
    with pytest.raises(ValueError, match="'mutually_recursive' calls itself"):
        register_activation("refused", mutually_recursive, one)


def test_helpers_that_close_over_variables_are_refused(monkeypatch):
    monkeypatch.setattr(settings, "closing", closing(), raising=False)
    with pytest.raises(ValueError, match="must not close over variables, but uses .'slope',."):
        register_activation("refused", lambda x: settings.closing(x), one)


# ---- what is compiled ------------------------------------------------------------------------


def fitted(activation, **settings_of_fit):
    X, y = make_problem("regression")
    return MLPRegressor(**SMALL | settings_of_fit, activation=activation).fit(X, y)


@pytest.mark.parametrize(
    ("function", "key", "value", "slope"),
    [
        (attribute, "SLOPE", 0.5, 0.5),
        (by_helper, "SLOPE", 0.5, 0.5),
        (by_jitted, "FACTOR", 0.75, 0.75),
        (by_closed, "FACTOR", 0.75, 0.375),
        (by_inner_function, "SLOPE", 0.5, 0.5),
    ],
)
def test_the_next_fit_runs_what_a_function_means_then(function, key, value, slope, monkeypatch):
    # Before the change Numba compiles the njit functions for Python too, and freezes their globals.
    register_activation("changing", function, function)
    before = fitted("changing").loss_curve_
    monkeypatch.setattr(settings, key, value)
    after = fitted("changing").loss_curve_
    assert after != before
    register_activation("fixed", eval(f"lambda x: {slope} * x"), eval(f"lambda x: {slope} * x"))
    assert fitted("fixed").loss_curve_ == pytest.approx(after, rel=1e-12)
    monkeypatch.undo()
    assert fitted("changing").loss_curve_ == before


def test_small_predictions_run_it_too(monkeypatch):
    """They keep what they prepared for the next one, for as long as it means the same."""
    register_activation("changing", attribute, attribute)
    model = fitted("changing")
    X, _ = make_problem("regression")
    few, many = X[:3], np.tile(X, (10, 1))
    before = model.predict(few)
    monkeypatch.setattr(settings, "SLOPE", 0.5)
    after = model.predict(few)
    assert (after == model.predict(many)[:3]).all()
    assert (after != before).all()
    monkeypatch.undo()
    assert (model.predict(few) == before).all()


def test_fastnns_own_functions_under_names_of_users():
    X, _ = make_problem("regression")
    for name, of in (("relu", "output"), ("silu", "input")):
        forward, gradient = getattr(activations, name), getattr(activations, f"{name}_gradient")
        register_activation("borrowed", forward, gradient, gradient_of=of)
        assert fitted("borrowed").loss_curve_ == fitted(name).loss_curve_


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_of_math_are_ours_however_they_are_reached(dtype):
    """So their results are the same bits on every machine."""
    renamed = types.ModuleType("renamed")
    in_module("from math import exp as e\ndef bell(x): return e(-x * x)", renamed)
    bits = set()
    for function in (settings.by_exp, settings.by_math_exp, renamed.bell):
        register_activation("bell", function, lambda x: -2 * x * math.exp(-x * x))
        bits.add(fitted("bell", dtype=dtype).coefs_[0].tobytes())
    assert len(bits) == 1


def test_plain_functions_of_modules_are_compiled():
    module = in_module("import math\ndef t(x): return math.tanh(x)", types.ModuleType("module"))
    settings.functions = module
    register_activation(
        "t", lambda x: settings.functions.t(x), lambda a: 1 - a * a, gradient_of="output"
    )
    register_activation("u", lambda x: tanh(x), lambda a: 1 - a * a, gradient_of="output")
    assert fitted("t").loss_curve_ == fitted("u").loss_curve_


def test_njit_functions_with_signatures_and_closures():
    settings.typed = numba.njit("float64(float64)")(lambda x: exp(-x * x))
    register_activation("typed", lambda x: settings.typed(x), one)
    register_activation("plain", lambda x: exp(-x * x), one)
    for dtype, tolerance in (("float32", 1e-4), ("float64", 1e-12)):
        losses = [fitted(name, dtype=dtype).loss_ for name in ("typed", "plain")]
        assert losses[0] == pytest.approx(losses[1], rel=tolerance)


CHANGING = """
import json, sys, types, warnings
warnings.simplefilter("ignore")
import fastnn, numba
import numpy as np
settings = types.ModuleType("settings")
exec("FACTOR = 2.0\\ndef scale(x): return FACTOR * x", vars(settings))
settings.scale = numba.njit(settings.scale)
fastnn.register_activation("scaled", lambda x: settings.scale(x), lambda x: settings.scale(1.0))
X = np.linspace(-1, 1, 20).reshape(10, 2)
def loss():
    return fastnn.MLPRegressor(hidden_layer_sizes=(3,), activation="scaled", max_iter=3,
                               random_state=0).fit(X, X[:, 0]).loss_
found = [loss()] if sys.argv[1] == "both" else []
settings.scale(1.0)
settings.FACTOR = 3.0
print(json.dumps([*found, loss()]))
"""


@pytest.mark.slow
def test_the_cache_on_disk_has_it_under_its_meaning(tmp_path):
    """A process that has frozen an old constant saves nothing under the hash of the new one."""
    first = run_python(CHANGING, "both", FASTNN_CACHE=str(tmp_path))
    second = run_python(CHANGING, "new", FASTNN_CACHE=str(tmp_path))
    fresh = run_python(CHANGING, "new", FASTNN_CACHE="0")
    assert first[0] != first[1]
    assert first[1:] == second == fresh
