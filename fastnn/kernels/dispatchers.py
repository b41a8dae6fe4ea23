"""Users' functions that ``@njit`` has made: how they are told from others and compiled again.

Numba calls them dispatchers, and promises little of what is read here: this module is the part of
`numba_internals` that does not import Numba. It serves programs that have not imported Numba and
may never do so; in those nothing is a dispatcher.
"""

import sys


def is_dispatcher(value):
    """Whether a value is a function that Numba compiles for the CPU, by ``@njit``."""
    registry = sys.modules.get("numba.core.registry")
    return registry is not None and isinstance(value, registry.CPUDispatcher)


def recipe(dispatcher):
    """The arguments of `jit.jitted`, after the function, that make such a function of another."""
    signatures = None if dispatcher._can_compile else dispatcher.nopython_signatures
    return signatures, dispatcher.locals, dispatcher.targetoptions


def described_options(dispatcher):
    """All that ``@njit`` was given besides the function, by name, for a fingerprint."""
    return {
        **dispatcher.targetoptions,
        "locals": {name: str(kind) for name, kind in dispatcher.locals.items()},
        "pipeline": dispatcher._compiler.pipeline_class,
        "signatures": None if dispatcher._can_compile else tuple(map(str, dispatcher.signatures)),
    }
