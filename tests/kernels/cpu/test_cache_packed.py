"""The cache of programs that come without their sources: bytecode alone, a zip file, frozen."""

import compileall
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import fastnn
from fastnn.kernels import cache

PACKAGE = Path(fastnn.__file__).parent
# A fit of each solver's kind; prints where the package was and what the cache did, as JSON.
FIT = """
import json, warnings
warnings.simplefilter("ignore")
import numpy as np
import fastnn
from fastnn.kernels import cache
from fastnn.kernels.cpu import jit
X = np.linspace(-1, 1, 40).reshape(20, 2)
model = fastnn.MLPRegressor(hidden_layer_sizes=3, activation="identity", max_iter=2, random_state=0)
loss = model.fit(X, X[:, 0]).loss_
print(json.dumps({"package": fastnn.__file__, "stats": cache.STATS, "loss": loss,
                  "directory": str(cache.cache_dir())}))
"""


def sources(directory, package=PACKAGE):
    """A copy of the package, as it is in a repository."""
    ignore = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(package, directory / "fastnn", ignore=ignore))


def bytecode(directory, package):
    """A copy of the package that has no sources; what to put on sys.path."""
    package = sources(directory, package)
    compileall.compile_dir(package, quiet=2, legacy=True)
    for path in package.rglob("*.py"):
        path.unlink()
    return directory


def zip_file(directory, package, suffix=".py"):
    """The package in a zip file, as sources or as bytecode; what to put on sys.path."""
    package = sources(directory, package)
    compileall.compile_dir(package, quiet=2, legacy=True)
    with zipfile.ZipFile(directory / "packed.zip", "w") as archive:
        for path in package.rglob(f"*{suffix}"):
            archive.write(path, path.relative_to(directory))
    shutil.rmtree(package)
    return directory / "packed.zip"


def zip_of_bytecode(directory, package):
    return zip_file(directory, package, ".pyc")


def run(code, path, cached):
    """Run code with the package that is at a path; return what it prints."""
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(path), "FASTNN_CACHE": str(cached)},
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def fit(path, cached):
    found = json.loads(run(FIT, path, cached))
    assert found["package"].startswith(str(path))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("pack", [bytecode, zip_file, zip_of_bytecode])
def test_packed_program_has_a_cache(tmp_path, pack):
    """It serves a second process, and no longer once a kernel has changed."""
    program, cached = tmp_path / "program", tmp_path / "cache"
    program.mkdir()
    path = pack(program, PACKAGE)
    first, second = fit(path, cached), fit(path, cached)
    assert first["stats"]["saved"] == first["stats"]["misses"] > 0
    assert second["stats"]["misses"] == 0 and second["stats"]["hits"] > 0
    assert second["loss"] == first["loss"]

    changed = sources(tmp_path / "changed")
    with open(changed / "kernels" / "optimizers.py", "a") as file:
        file.write("CHANGED = 1\n")
    shutil.rmtree(program)
    program.mkdir()
    third = fit(pack(program, changed), cached)
    assert third["directory"] != first["directory"] and third["stats"]["hits"] == 0


@pytest.mark.slow
def test_change_of_any_kernel_changes_the_directory(tmp_path):
    package = sources(tmp_path)
    directories = [fit(tmp_path, tmp_path / "cache")["directory"]]
    for name in ("activations", "cpu/matmul", "cuda/lead"):
        with open(package / "kernels" / f"{name}.py", "a") as file:
            file.write("# changed\n")
        directories.append(fit(tmp_path, tmp_path / "cache")["directory"])
    assert len(set(directories)) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", ["shutil.rmtree(kernels)", "open(kernels / 'cpu' / 'backend.py', 'a').write('#')"]
)
def test_what_becomes_of_the_files_later_does_not_matter(tmp_path, change):
    """They may be upgraded under a process that has imported the kernels."""
    sources(tmp_path)
    code = """
import shutil
from pathlib import Path
from fastnn.kernels import cache
kernels = Path(cache.__file__).parent
{}
print(cache.cache_dir())
"""
    directories = [
        run(code.format(then), tmp_path, tmp_path / "cache") for then in ("pass", change)
    ]
    assert directories[0] == directories[1] != "None\n"


class Loader:
    """A loader of a packed program."""

    def __init__(self, code):
        self.code = code

    def get_source(self, name):
        return None

    def get_code(self, name):
        return self.code


@pytest.fixture
def loaded_by(monkeypatch):
    """A function that lets a kernel module come from a loader, and returns the hash of all."""

    def replace(loader):
        monkeypatch.setattr(sys.modules["fastnn.kernels.losses"].__spec__, "loader", loader)
        cache._code_hash.cache_clear()
        return cache._code_hash()

    yield replace
    cache._code_hash.cache_clear()


def test_bytecode_counts_where_there_is_no_source(loaded_by):
    one, other = (loaded_by(Loader(compile(text, "losses", "exec"))) for text in ("a = 1", "a = 2"))
    assert one != other


@pytest.mark.parametrize("loader", [Loader(None), object(), None])
def test_no_cache_where_the_code_cannot_be_read(loaded_by, loader):
    """A hash of less than all would run an old version's kernels."""
    assert loaded_by(loader) is None
    assert cache.cache_dir() is None
