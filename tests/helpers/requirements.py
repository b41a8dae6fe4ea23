"""What the package's metadata says that it needs."""

import tomllib
from importlib.metadata import requires
from pathlib import Path

import fastnn

PACKAGE = Path(fastnn.__file__).parent


def requires_at_runtime():
    """Requirements outside the extras, of the checkout or of the installed package."""
    pyproject = PACKAGE.parent / "pyproject.toml"
    if pyproject.exists():
        return tomllib.loads(pyproject.read_text())["project"]["dependencies"]
    return [line for line in requires("scikit-fastnn") if "extra ==" not in line]
