"""What a report of a bug should say of the machine, its packages and its GPU."""

import platform
import sys
from importlib import metadata

from fastnn import backends, forks, streams
from fastnn._version import __version__

PACKAGES = (
    "numpy", "scipy", "scikit-learn", "numba", "llvmlite", "joblib", "threadpoolctl",
    "platformdirs", "numba-cuda", "cuda-core", "cuda-bindings",
)  # fmt: skip


def show_versions():
    """Print the versions of fastnn and of what it uses, and what it computes on.

    Of a GPU it says the name or, where ``device="cuda"`` cannot be used, why that is so.

    See Also
    --------
    sklearn.show_versions : The same for scikit-learn.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.show_versions()
                 fastnn: ...
                    GPU: ...
    """
    facts = {"fastnn": __version__, "python": sys.version.replace("\n", " ")}
    facts["platform"] = platform.platform()
    facts |= {package: _version(package) for package in PACKAGES}
    facts["kernels are kept in"] = _cache_dir()
    facts["threads"] = backends.get_backend().n_threads
    facts["GPU"] = backends.why_no_cuda() or backends.get_backend("cuda").device_name
    width = max(map(len, facts))
    for name, value in facts.items():
        streams.write_line(f"{name:>{width}}: {value}")


def _version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _cache_dir():
    with forks.importing:
        from fastnn.kernels import cache

    return cache.cache_dir() or "nowhere"
