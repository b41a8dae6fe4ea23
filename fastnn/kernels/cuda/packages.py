"""The seam to numba-cuda and cuda-core: all that is imported of them, and what they lack.

Both are optional. What is missing, or does not work, is a RuntimeError that says what to do.
"""

import contextlib
import importlib
from functools import cache, partial
from importlib import metadata
from types import SimpleNamespace
from unittest import mock

import numpy as np

INSTALL = (
    "Install them with: pip install 'scikit-fastnn[cuda13]', or [cuda12] for a driver before "
    "version 580"
)


@cache
def load():
    """The modules of the packages, by short names.

    Raises
    ------
    RuntimeError
        If a package is missing or cannot be imported.
    """
    if not hasattr(np, "row_stack"):
        # It is all of NumPy 2.5 that numba-cuda 0.30 misses.
        np.row_stack = np.vstack
    # The first two say by their names what is missing; Numba itself has a numba.cuda, too.
    names = {
        "core": "cuda.core",
        "package": "numba_cuda",
        "cuda": "numba.cuda",
        "dispatcher": "numba.cuda.dispatcher",
        "nvvm": "numba.cuda.cudadrv.nvvm",
        "lock": "numba.cuda.core.compiler_lock",
    }
    try:
        modules = {short: importlib.import_module(name) for short, name in names.items()}
    except Exception as error:
        raise RuntimeError(
            f"device='cuda' needs the packages numba-cuda and cuda-core, but they cannot be "
            f"imported: {error}. {INSTALL}."
        ) from error
    return SimpleNamespace(**modules)


@cache
def versions():
    """The versions of all that has a part in compiling for a GPU."""
    names = ("numba-cuda", "cuda-core", "nvidia-nvvm", "nvidia-cuda-nvcc", "nvidia-nvjitlink")
    found = {each.metadata["Name"]: each.version for each in metadata.distributions()}
    return tuple(found.get(name) for name in names)


@cache
def driver():
    """The module of NVIDIA's driver, ready for use.

    Raises
    ------
    RuntimeError
        If there is no driver, or it has no GPU.
    """
    load()
    try:
        bindings = importlib.import_module("cuda.bindings.driver")
        (error,) = bindings.cuInit(0)
    except Exception as error:
        raise RuntimeError(
            f"device='cuda' needs NVIDIA's driver, but it cannot be loaded: {error} Install it "
            "(https://www.nvidia.com/drivers), or use device='cpu'."
        ) from error
    if int(error) != 0:
        _, text = bindings.cuGetErrorString(error)
        raise RuntimeError(
            f"device='cuda' needs an NVIDIA GPU, but the driver reports {error.name}: "
            f"{text.decode() if text else ''}. Look whether nvidia-smi shows one, and whether "
            "CUDA_VISIBLE_DEVICES hides it, or use device='cpu'."
        )
    return bindings


@contextlib.contextmanager
def _exact_and_offline(modules, cc):
    """Within this, numba-cuda contracts nothing to fma, and asks no device what it is."""
    nvvm, dispatcher = modules.nvvm, modules.dispatcher
    exact = partial(nvvm.compile_ir, fma=False)
    device = mock.Mock(compute_capability=cc)
    with (
        modules.lock.global_compiler_lock,
        mock.patch.object(nvvm, "compile_ir", exact),
        mock.patch.object(dispatcher, "get_current_device", lambda: device),
    ):
        yield


def device_function(function):
    """A function that kernels call, and that is inlined into them.

    It is compiled without LTO, which would have the linker make the code, and contract it.
    """
    return load().cuda.jit(device=True, forceinline=True, lto=False)(function)


def compile_ptx(function, signature, cc, *, name=None, n_threads=None):
    """The PTX of a function for devices of compute capability ``cc``.

    With a ``name`` it is a function that others call by it; otherwise a kernel of ``n_threads``.
    """
    modules = load()
    if name is None:
        options = {"device": False, "abi": "numba", "launch_bounds": n_threads}
    else:
        options = {"device": True, "abi": "c", "abi_info": {"abi_name": name}}
    with _exact_and_offline(modules, cc):
        code, _ = modules.cuda.compile(function, signature, cc=cc, output="ptx", **options)
    return code if isinstance(code, str) else code.decode()


def link(texts, cc):
    """The cubin of several texts of PTX, and what the assembler says of it."""
    core = load().core
    objects = [core.ObjectCode.from_ptx(text.encode()) for text in texts]
    options = core.LinkerOptions(arch="sm_{}{}".format(*cc), ptxas_options=["-v"])
    linker = core.Linker(*objects, options=options)
    code = linker.link("cubin").code
    return bytes(code), linker.get_info_log()
