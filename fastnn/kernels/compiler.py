"""The compiler of a device, as the catalog of units sees it; and copies of functions for it.

Templates leave names open. Those of mathematics are in elementary.py. Five more say how the threads
of a device share a task; on the CPU one thread does all of it, and they cost nothing:

- ``by_threads(n)``: the numbers below n, of which each thread of a block takes some.
- ``by_warps(first, last)``: numbers, of which each warp, a team of the block's threads, takes some.
- ``by_lanes(n)``: the numbers below n, of which each lane of a warp takes some.
- ``sync()``: the block's threads wait for one another.
- ``is_first_thread()``: whether this thread is the one that does what is done once.

A loop over ``by_threads`` may read what another with the same bounds has written at the same
index; for anything else there has to be a ``sync()`` between them. After each unit there is one.
"""

import types
from typing import Protocol


class Compiler(Protocol):
    """Makes units, and the functions that they call, for one device."""

    def compile(self, unit):
        """The integer by which the device's plans know a `fastnn.kernels.catalog.Unit`."""

    def bind(self, function, name, **names):
        """A plain function, compiled with ``names`` in its globals, for templates to call."""

    def bind_again(self, dispatcher, name, cells, names):
        """The same for an ``@njit`` function, whose closure's variables are in ``cells``."""

    def names(self, precision):
        """The names, by which a device differs, that templates leave open, and what they are."""

    def lane_sum(self, precision, of):
        """``lane_sum(x, offset, n)``: the sum of n "values", "squares" or "sizes", in 16 lanes."""


def copy_function(function, name, bindings, cells=None):
    """A copy of a plain function, renamed, with ``bindings`` added to its globals."""
    clone = types.FunctionType(
        function.__code__, {**function.__globals__, **bindings}, name, function.__defaults__, cells
    )
    clone.__qualname__ = name
    clone.__module__ = function.__module__
    return clone
