"""The cache on disk: what a second process finds, and what happens to files that are damaged."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from cache_programs import FIT, UNITS, lines, start
from common import child_environment, run_python
from fastnn.kernels import cache
from fastnn.kernels.cpu import jit


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache filled by one process, and what that process said."""
    directory = tmp_path_factory.mktemp("cache")
    return directory, run_python(FIT, FASTNN_CACHE=str(directory))


@pytest.fixture
def copy_of_filled(filled, tmp_path):
    """A copy of it to damage; its path, that of the entries in it, and what the first said."""
    source, first = filled
    shutil.copytree(source, tmp_path / "copy")
    return tmp_path / "copy", tmp_path / "copy" / Path(first["directory"]).name, first


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """An empty cache for this process."""
    monkeypatch.setattr(cache, "_base", lambda: cache._Base(tmp_path, is_for_others=True))
    return tmp_path


def compiled_unit(name):
    """The file of a small unit, which is compiled."""
    saved = cache.STATS["saved"]
    jit.unit(lambda step, task: None, name)
    assert cache.STATS["saved"] == saved + 1
    return cache.cache_dir() / f"{name}.unit"


def loads(name):
    """Whether the cache gives that unit out."""
    hits = cache.STATS["hits"]
    found = cache.load(name) is not None
    assert cache.STATS["hits"] == hits + found
    return found


def test_second_process_compiles_nothing(filled):
    directory, first = filled
    second = run_python(FIT, FASTNN_CACHE=str(directory))
    assert first["stats"]["misses"] == first["stats"]["saved"] == len(first["units"])
    assert first["stats"]["hits"] == 0
    assert second["stats"] == {"hits": len(second["units"]), "misses": 0, "saved": 0}
    assert second["units"] == first["units"]
    assert second["loss"] == first["loss"]
    assert Path(second["directory"]).parent == directory


def test_each_unit_is_one_file(filled):
    _, found = filled
    suffixes = {path.suffix for path in Path(found["directory"]).iterdir()}
    assert suffixes == {".unit", ".lock", ""}  # the last is that of the announcement
    units = {path.stem for path in Path(found["directory"]).glob("*.unit")}
    assert units == set(found["units"])


@pytest.mark.slow
def test_cache_can_be_turned_off(tmp_path):
    found = run_python(FIT, FASTNN_CACHE="0", XDG_CACHE_HOME=str(tmp_path))
    assert found["directory"] == "None"
    assert found["stats"]["saved"] == found["stats"]["hits"] == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_no_writable_place(tmp_path):
    """Without a place to write, everything works and is compiled in each process."""
    blocked = tmp_path / "a-file-not-a-directory"
    blocked.write_text("")
    found = run_python(FIT, FASTNN_CACHE=str(blocked / "cache"))
    assert found["directory"] == "None"
    assert found["stats"]["misses"] == len(found["units"])


def test_every_flipped_bit_is_noticed(own_cache):
    file = compiled_unit("with_flipped_bits")
    content = file.read_bytes()
    # Each bit of what stands before the payload, and some of the rest.
    head = 8 * (len(cache.MAGIC) + 32)
    for bit in (*range(head), *range(head, 8 * len(content), 1009)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        assert not loads("with_flipped_bits"), bit
    file.write_bytes(content)
    assert loads("with_flipped_bits")


def test_files_that_are_cut_or_longer_are_noticed(own_cache):
    file = compiled_unit("of_another_length")
    content = file.read_bytes()
    for size in (0, 1, len(cache.MAGIC), len(cache.MAGIC) + 32, len(content) - 1):
        file.write_bytes(content[:size])
        assert not loads("of_another_length"), size
    file.write_bytes(content + b"\0")
    assert not loads("of_another_length")
    file.write_bytes(content)
    assert loads("of_another_length")


def test_exchanged_files_are_noticed(own_cache):
    one, other = compiled_unit("exchanged_one"), compiled_unit("exchanged_other")
    content = one.read_bytes(), other.read_bytes()
    one.write_bytes(content[1])
    other.write_bytes(content[0])
    assert not loads("exchanged_one") and not loads("exchanged_other")
    one.write_bytes(content[0])
    other.write_bytes(content[1])
    assert loads("exchanged_one") and loads("exchanged_other")


def test_file_of_another_version_is_noticed(own_cache, monkeypatch):
    file = compiled_unit("of_another_version")
    monkeypatch.setattr(cache, "__version__", "0.0.1")
    assert cache.cache_dir() != file.parent
    shutil.copy(file, cache.cache_dir())
    assert not loads("of_another_version")


def test_nothing_is_unpickled_before_it_is_checked(own_cache):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(own_cache / "trapped"),)

    payload = pickle.dumps(Trap())
    (cache.cache_dir() / "trap.unit").write_bytes(cache.MAGIC + bytes(32) + payload)
    (cache.cache_dir() / "bare_trap.unit").write_bytes(payload)
    assert not loads("trap") and not loads("bare_trap")
    assert not (own_cache / "trapped").exists()


@pytest.mark.parametrize("content", [b"", b"not a unit", None])
@pytest.mark.slow
def test_damaged_files_are_replaced(copy_of_filled, content):
    """Files that are empty, nonsense or missing cost a compilation, no more."""
    cache_root, entries, first = copy_of_filled
    files = [*entries.glob("begin_update*.unit"), *entries.glob("finish*.unit")]
    assert len(files) == 2
    for file in files:
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)
    second = run_python(FIT, FASTNN_CACHE=str(cache_root))
    assert second["stats"]["misses"] == second["stats"]["saved"] == 2
    assert second["loss"] == first["loss"]
    assert run_python(FIT, FASTNN_CACHE=str(cache_root))["stats"]["misses"] == 0


@pytest.mark.slow
def test_a_flipped_bit_in_every_file_costs_compilations_and_no_more(copy_of_filled):
    cache_root, entries, first = copy_of_filled
    for seed in range(3):
        rng = np.random.default_rng(seed)
        for file in entries.glob("*.unit"):
            content = bytearray(file.read_bytes())
            content[rng.integers(len(content))] ^= 1 << rng.integers(8)
            file.write_bytes(content)
        second = run_python(FIT, FASTNN_CACHE=str(cache_root))
        assert second["stats"]["hits"] == 0
        assert second["loss"] == first["loss"]


@pytest.mark.slow
def test_every_file_exchanged_costs_compilations_and_no_more(copy_of_filled):
    cache_root, entries, first = copy_of_filled
    files = sorted(entries.glob("*.unit"))
    contents = [file.read_bytes() for file in files]
    for file, content in zip(files, contents[1:] + contents[:1], strict=True):
        file.write_bytes(content)
    second = run_python(FIT, FASTNN_CACHE=str(cache_root))
    assert second["stats"]["hits"] == 0
    assert second["loss"] == first["loss"]


@pytest.mark.slow
def test_cold_processes_side_by_side(tmp_path):
    """Processes that start cold at once share the work and leave a cache that serves a third."""
    processes = [start("one", "two", "three", FASTNN_CACHE=str(tmp_path)) for _ in range(3)]
    said = [line for process in processes for line in lines(process)]
    assert said.count("compiles") == 3
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FIT],
            env=child_environment(FASTNN_CACHE=str(tmp_path)),
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        process.communicate(timeout=300)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert run_python(FIT, FASTNN_CACHE=str(tmp_path))["stats"]["misses"] == 0


def test_writers_leave_no_temporary_files(own_cache):
    directory = compiled_unit("written").parent
    names = {path.name for path in directory.iterdir()}
    assert names - {"announced"} == {"written.unit", "written.lock"}


def test_directory_that_is_deleted_meanwhile_is_made_again(own_cache):
    compiled_unit("before_it_is_deleted")
    shutil.rmtree(cache.cache_dir())
    assert compiled_unit("after_it_was_deleted").exists()


@pytest.mark.parametrize("name", ["ä" * 40, "x" * 300, "../elsewhere", "a/b"])
def test_any_name_of_a_unit_is_one_file_in_the_directory(own_cache, name):
    path = cache._path(cache.cache_dir(), name, ".unit")
    assert path.parent == cache.cache_dir()
    assert path.name.isascii() and len(path.name) < 200


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (cache, "__version__", "0.0.1"),
        (numba, "__version__", "0.0.1"),
        (np, "__version__", "0.0.1"),
        (cache.config, "OPT", 1),
        (cache.config, "BOUNDSCHECK", 1),
        (cache.config, "CPU_NAME", "generic"),
    ],
)
def test_directory_depends_on(own_cache, monkeypatch, owner, name, value):
    """The versions, Numba's settings and the processor."""
    before = cache.cache_dir()
    monkeypatch.setattr(owner, name, value)
    assert cache.cache_dir() != before


# A registered function that cannot be kept on disk; prints the result, as JSON.
WITHOUT_CACHE = """
import json, warnings
warnings.simplefilter("ignore")
import numpy as np
import fastnn
from fastnn.kernels import cache
TABLE = np.linspace(0, 1, 200_000)  # 1.6 MB
def from_table(x):
    return x * TABLE[199_999]
def from_table_gradient(x):
    return TABLE[199_999]
fastnn.register_activation("from_table", from_table, from_table_gradient)
X = np.linspace(-1, 1, 40).reshape(20, 2)
params = dict(hidden_layer_sizes=3, random_state=0, max_iter=2)
before = dict(cache.STATS)
def loss(activation):
    return fastnn.MLPRegressor(activation=activation, **params).fit(X, X[:, 0]).loss_
print(json.dumps([bool(loss("from_table") == loss("identity")), cache.STATS]))
"""


@pytest.mark.slow
def test_functions_that_cannot_be_kept_are_compiled_without_a_cache(tmp_path):
    """A table of more than 1 MB is known by its address."""
    is_right, first = run_python(WITHOUT_CACHE, FASTNN_CACHE=str(tmp_path))
    assert is_right and first["saved"] < first["misses"]
    is_right, second = run_python(WITHOUT_CACHE, FASTNN_CACHE=str(tmp_path))
    assert is_right and second["saved"] == 0
    assert second["misses"] == first["misses"] - first["saved"] > 0


@pytest.mark.slow
def test_a_unit_whose_functions_are_missing_is_compiled_again(tmp_path):
    """LLVM ends the process where it does not find a function that code calls."""
    code = (
        UNITS
        + """
from fastnn.kernels import numba_internals
numba_internals._names_called = lambda library: ["of_a_missing_extension"]
jit.unit(lambda step, task: None, "calls_it", bindings)
"""
    )
    for _ in range(2):
        assert "compiles" in lines(start(code=code, FASTNN_CACHE=str(tmp_path)))
