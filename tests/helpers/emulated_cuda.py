"""device="cuda" on an emulated GPU, for what uses backends and estimators."""

from contextlib import contextmanager
from unittest.mock import patch

from emulation import EmulatedCompiler, EmulatedDevice
from fastnn import backends
from fastnn.kernels.cuda import backend, driver


@contextmanager
def emulated_cuda(n_blocks=2, n_threads=16):
    """Within this, there is a GPU with so many blocks of so many threads; yields its device."""
    device = EmulatedDevice(n_blocks)
    compiler = EmulatedCompiler(n_threads)
    backends.why_no_cuda.cache_clear()
    try:
        with (
            patch.object(driver, "device", lambda: device),
            patch.object(backend, "compiler_for", lambda cc: compiler),
        ):
            yield device
    finally:
        backends.why_no_cuda.cache_clear()
