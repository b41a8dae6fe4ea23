"""The machine that numbers are measured on, and how it is doing."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import llvmlite.binding as llvm
from threadpoolctl import threadpool_info

import peak

PACKAGES = ("scikit-fastnn", "numba", "numpy", "scipy", "scikit-learn", "torch", "jax")
# The load average from which on times are not to be trusted.
QUIET = 0.5


def describe():
    """The machine that the numbers were measured on."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": cpu_name(),
        "llvm_cpu": llvm.get_host_cpu_name(),
        "n_cores": peak.n_cores(),
        "load_average": load_average(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": installed_versions(*PACKAGES),
        "blas": [
            f"{pool['internal_api']} {pool['version']} {pool.get('architecture', '')}".strip()
            for pool in threadpool_info()
            if pool["user_api"] == "blas"
        ],
    }


def line(machine):
    """The same in a sentence."""
    packages = ", ".join(f"{name} {release}" for name, release in machine["packages"].items())
    return (
        f"{machine['cpu']} ({machine['llvm_cpu']}), {machine['n_cores']} cores, "
        f"{machine['system']}, Python {machine['python']}, {packages}, "
        f"BLAS: {', '.join(sorted(machine['blas']))}."
    )


def warn_if_busy():
    """Say so where others use the cores."""
    load = load_average()
    if load is not None and load > QUIET:
        print(f"This machine is busy (load average {load:.1f}): the times will not be right.\n")


def load_average():
    """Processes that ran in the last minute, on average; None where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def cpu_name():
    """The CPU's name as it gives it itself."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for text in cpuinfo.read_text().splitlines():
            if text.startswith("model name"):
                return text.partition(":")[2].strip()
    return platform.processor()


def installed_versions(*names):
    """Versions of those packages that are installed."""
    versions = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
