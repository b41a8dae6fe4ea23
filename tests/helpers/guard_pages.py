"""Arrays between pages that nobody may touch, for kernels whose every access then is checked.

An access beyond such an array is a segmentation fault, also where the memory next to it would
have done no harm. POSIX only.
"""

import ctypes
import mmap
import sys
import types
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import numpy as np
from scipy import sparse

from fastnn.kernels import plan
from fastnn.kernels.cpu import backend, perceptron
from fastnn.network.data import Data

PAGE = mmap.PAGESIZE
NOTHING, READ_WRITE = 0, mmap.PROT_READ | mmap.PROT_WRITE
# Functions of NumPy by which the kernels, and what hands arrays to them, make new arrays.
MAKERS = (
    "arange", "array", "ascontiguousarray", "empty", "flatnonzero", "full", "ones", "ones_like",
    "stack", "zeros", "zeros_like",
)  # fmt: skip
# Modules of the package outside fastnn.kernels whose arrays kernels read or write.
MAKING_ARRAYS = (
    "estimators.augmenter", "estimators.inspection", "estimators.perceptron",
    "estimators.preparation", "network.network", "network.state", "training.lbfgs",
)  # fmt: skip
_libc = ctypes.CDLL(None, use_errno=True)


def _protect(address, size, protection):
    if _libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size), protection) != 0:
        raise OSError(ctypes.get_errno(), "mprotect failed")


def _address(array):
    return array.__array_interface__["data"][0]


def _bounds(shape, strides, itemsize):
    """First byte of an array, and one past its last, from its first element."""
    reach = [(n - 1) * stride for n, stride in zip(shape, strides, strict=True)]
    return sum(min(0, r) for r in reach), sum(max(0, r) for r in reach) + itemsize


def allocate(shape, dtype, strides=None, *, at_end):
    """An uninitialised array whose last byte, or else its first, touches a forbidden page.

    Where its rows are pages apart, the pages between them are forbidden, too.
    """
    dtype = np.dtype(dtype)
    if strides is None:
        strides = np.empty(shape, np.int8).strides
        strides = tuple(stride * dtype.itemsize for stride in strides)
    is_empty = 0 in shape
    low, high = (0, 0) if is_empty else _bounds(shape, strides, dtype.itemsize)
    size = -(-(high - low) // PAGE) * PAGE
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    memory = mmap.mmap(-1, size + 2 * PAGE, flags=flags, prot=READ_WRITE)
    first = size - (high - low) if at_end else 0
    array = np.ndarray(shape, dtype, memory, PAGE + first - low, strides)
    begin = _address(array) + low - first
    if len(shape) == 2 and abs(strides[0]) >= 4 * PAGE:
        _protect(begin, size, NOTHING)
        for row in range(shape[0]):
            row_low, row_high = _bounds(shape[1:], strides[1:], dtype.itemsize)
            start = (_address(array) + row * strides[0] + row_low) // PAGE * PAGE
            end = _address(array) + row * strides[0] + row_high
            _protect(start, -(-(end - start) // PAGE) * PAGE, READ_WRITE)
    _protect(begin - PAGE, PAGE, NOTHING)
    _protect(begin + size, PAGE, NOTHING)
    return array


def is_guarded(array):
    """Whether an array, or what it is a view of, was made by `allocate`."""
    base = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    return isinstance(base, mmap.mmap) or isinstance(getattr(base, "obj", None), mmap.mmap)


def guarded(array, *, at_end):
    """A copy between forbidden pages with the same strides; itself if it is one already."""
    if is_guarded(array):
        return array
    copy = allocate(array.shape, array.dtype, array.strides, at_end=at_end)
    # Elements that share memory are equal.
    copy[...] = array
    return copy


def guarded_matrix(X, *, at_end):
    """The same for a dense or a CSR matrix."""
    if not sparse.issparse(X):
        return guarded(X, at_end=at_end)
    arrays = [guarded(array, at_end=at_end) for array in (X.data, X.indices, X.indptr)]
    copy = X.copy()
    copy.data, copy.indices, copy.indptr = arrays
    return copy


class _GuardedNumpy(types.ModuleType):
    """NumPy, for a module whose new arrays are to lie between forbidden pages.

    A module, so that Numba can compile what has it among its globals.
    """

    def __init__(self, at_end):
        super().__init__("numpy")
        self._at_end = at_end

    def __getattr__(self, name):
        function = getattr(np, name)
        if name not in MAKERS:
            return function

        def make(*args, **kwargs):
            return guarded(np.asarray(function(*args, **kwargs)), at_end=self._at_end)

        return make


def _modules():
    """The modules that make arrays which kernels read or write."""
    others = tuple(f"fastnn.{name}" for name in MAKING_ARRAYS)
    return [
        module
        for name, module in sys.modules.items()
        if (name.startswith("fastnn.kernels.") or name in others) and vars(module).get("np") is np
    ]


def _guarded_backend(at_end):
    """The CPU backend with all that is handed to it between forbidden pages."""

    def of_data(data):
        weights = data.sample_weight
        return Data(
            guarded_matrix(data.X, at_end=at_end),
            guarded(data.y, at_end=at_end),
            None if weights is None else guarded(weights, at_end=at_end),
        )

    class GuardedBackend(backend.CpuBackend):
        def trainer(self, network, data, state, **settings):
            # The parameters are trained in place, so they have to be guarded already.
            places = [(state.optimizer, ("slots", "settings", "scalars", "step_rate"))]
            places += [(state.average, ("values", "numbers"))] if state.average is not None else []
            for holder, names in [*places, (state, ("random_steps",))]:
                for name in names:
                    setattr(holder, name, guarded(getattr(holder, name), at_end=at_end))
            return super().trainer(network, of_data(data), state, **settings)

        def objective(self, network, data, **settings):
            return super().objective(network, of_data(data), **settings)

        def evaluation(self, network, data, **settings):
            return super().evaluation(network, of_data(data), **settings)

        def forward(self, network, params, X, **settings):
            params, X = guarded(params, at_end=at_end), guarded_matrix(X, at_end=at_end)
            return super().forward(network, params, X, **settings)

        def hidden(self, network, params, X, layer):
            params, X = guarded(params, at_end=at_end), guarded_matrix(X, at_end=at_end)
            return super().hidden(network, params, X, layer)

        def input_gradient(self, network, params, X, weights):
            params, X = guarded(params, at_end=at_end), guarded_matrix(X, at_end=at_end)
            weights = guarded(weights, at_end=at_end)
            return super().input_gradient(network, params, X, weights)

    return GuardedBackend


# Arrays of a perceptron's job that come from outside, and are read only.
GIVEN_TO_PERCEPTRONS = (
    perceptron.VALUES_AT, perceptron.INDPTR_AT, perceptron.INDICES_AT, perceptron.TARGETS_AT,
    perceptron.SAMPLE_WEIGHT_AT, perceptron.ORDER_AT,
)  # fmt: skip


@contextmanager
def guard_pages(*, at_end):
    """Within this, every array that kernels are given lies between forbidden pages.

    Arrays that come from outside are copied there first, with their strides. Any other that does
    not lie there is an AssertionError.
    """
    plain_word, plain_point = plan.Plan._word, perceptron.Perceptrons._point

    def word(self, value):
        if isinstance(value, np.ndarray):
            assert is_guarded(value), "a plan points into an array that is not guarded"
        return plain_word(self, value)

    def point(self, place, array):
        if place in GIVEN_TO_PERCEPTRONS:
            array = guarded(array, at_end=at_end)
        assert is_guarded(array), f"place {place} of a job is an array that is not guarded"
        plain_point(self, place, array)

    with ExitStack() as stack:
        numpy = _GuardedNumpy(at_end)
        for module in _modules():
            stack.enter_context(patch.object(module, "np", numpy))
        stack.enter_context(patch.object(backend, "CpuBackend", _guarded_backend(at_end)))
        stack.enter_context(patch.object(plan.Plan, "_word", word))
        stack.enter_context(patch.object(perceptron.Perceptrons, "_point", point))
        yield
