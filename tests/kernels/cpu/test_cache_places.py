"""Where the cache is: who may read and write it, and what is not trusted."""

import os
import shutil
import stat
import sys
import tempfile
import warnings
from pathlib import Path

import pytest

from cache_programs import UNITS, lines, start
from common import run_python
from fastnn.exceptions import AdviceWarning
from fastnn.kernels import cache

needs_posix = pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
needs_root = pytest.mark.skipif(
    os.name == "nt" or os.geteuid() != 0, reason="only root can become other users"
)
NOBODY, SOMEBODY = 65534, 65533

WHERE = "import json; from fastnn.kernels import cache; print(json.dumps(str(cache.cache_dir())))"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A function that lets this process use the cache at a path."""

    def use(path, *, named=True):
        monkeypatch.setattr(cache, "_base", lambda: cache._Base(path, is_for_others=named))
        cache._warn_of.cache_clear()
        return cache.cache_dir()

    yield use
    cache._warn_of.cache_clear()


@pytest.fixture
def for_all():
    """A directory that every user may enter, which pytest's own are not."""
    directory = Path(tempfile.mkdtemp(prefix="fastnn-test-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


# Becomes another user, who may be unable to read Python's modules, once these are imported.
AS_USER = """
import os
import numba
from fastnn.kernels.cpu import jit
numba.njit(lambda x: x)(1)
os.setgroups([])
os.setgid({user})
os.setuid({user})
"""


def run_units(*units, user=None, **variables):
    """Run UNITS, as another user if one is given; return the lines that it writes to stderr."""
    code = UNITS if user is None else AS_USER.format(user=user) + UNITS
    return lines(start(*units, code=code, **variables))


def n_compiled(said):
    return said.count("compiles")


@pytest.mark.slow
def test_default_directory(tmp_path):
    found = run_python(
        WHERE,
        FASTNN_CACHE="",
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        HOME=str(tmp_path),
        LOCALAPPDATA=str(tmp_path),
    )
    assert found.startswith(str(tmp_path))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have other places")
@pytest.mark.parametrize(
    ("xdg", "found"),
    [
        ("", "home/.cache/fastnn"),
        ("relative", "home/.cache/fastnn"),
        ("~/relative", "home/.cache/fastnn"),
        ("{}/xdg", "xdg/fastnn"),
    ],
)
def test_default_place_on_linux(tmp_path, monkeypatch, xdg, found):
    monkeypatch.setenv("FASTNN_CACHE", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", xdg.format(tmp_path))
    assert cache._base.__wrapped__() == cache._Base(tmp_path / found, is_for_others=False)
    assert list(tmp_path.iterdir()) == []


@needs_posix
def test_no_cache_where_there_is_no_home_directory(monkeypatch):
    def getpwuid(uid):
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", getpwuid)
    for name in ("FASTNN_CACHE", "HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert cache._base.__wrapped__() is None


@needs_posix
def test_directories_in_the_default_place_are_the_users_alone(tmp_path, here):
    tmp_path.chmod(0o755)
    directory = here(tmp_path / "cache" / "fastnn", named=False)
    for level in (directory, *list(directory.parents)[:2]):
        assert mode(level) == 0o700


@needs_posix
@pytest.mark.parametrize(
    ("parent", "made"), [(0o755, 0o755), (0o750, 0o750), (0o700, 0o700), (0o1777, 0o700)]
)
def test_directories_in_a_named_place_can_be_read_by_those_who_read_it(
    tmp_path, here, parent, made
):
    before = os.umask(0)
    try:
        tmp_path.chmod(parent)
        directory = here(tmp_path / "cache")
    finally:
        os.umask(before)
    assert mode(directory.parent) == mode(directory) == made


@needs_posix
@pytest.mark.slow
def test_nobody_else_may_write_the_files(tmp_path):
    before = os.umask(0)
    try:
        run_units("one", FASTNN_CACHE=str(tmp_path / "cache"))
    finally:
        os.umask(before)
    files = list(tmp_path.glob("cache/*/*.*"))
    assert {path.suffix for path in files} == {".unit", ".lock"}
    assert not any(mode(path) & 0o022 for path in files)


@pytest.mark.slow
def test_relative_path_is_made_absolute_once(tmp_path):
    code = f"""
import json, os
os.chdir({str(tmp_path)!r})
from fastnn.kernels import cache
before = cache.cache_dir()
os.chdir("/")
print(json.dumps([str(before), str(cache.cache_dir())]))
"""
    before, after = run_python(code, FASTNN_CACHE="kernels")
    assert before == after and Path(before).parent == tmp_path / "kernels"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="has no XDG_CACHE_HOME")
@pytest.mark.slow
def test_relative_xdg_cache_home_is_ignored(tmp_path):
    found = run_python(WHERE, FASTNN_CACHE="", XDG_CACHE_HOME="cache", HOME=str(tmp_path))
    assert Path(found).parent == tmp_path / ".cache" / "fastnn"


@needs_posix
@pytest.mark.parametrize("level", ["base", "directory"])
@pytest.mark.parametrize("fault", ["everybody writes", "link", "foreign"])
def test_directory_that_others_could_have_filled_is_refused(tmp_path, here, level, fault):
    base = tmp_path / "cache"
    found = here(base)
    bad = base if level == "base" else found
    if fault == "everybody writes":
        bad.chmod(0o777)
        reason = "can be written by every user"
    elif fault == "link":
        bad.rename(tmp_path / "elsewhere")
        bad.symlink_to(tmp_path / "elsewhere")
        reason = "is a link"
    else:
        if os.geteuid() != 0:
            pytest.skip("only root can give a directory away")
        os.chown(bad, NOBODY, NOBODY)
        reason = "belongs to another user"
    with pytest.warns(AdviceWarning, match=f"{bad} {reason}.*FASTNN_CACHE") as caught:
        assert here(base) is None
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache.cache_dir() is None  # and no more is said


@needs_posix
def test_a_link_further_up_is_fine(tmp_path, here):
    (tmp_path / "real").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "real")
    assert here(tmp_path / "home" / "cache") is not None


@needs_posix
@pytest.mark.slow
def test_refused_directory_is_neither_read_nor_written(tmp_path):
    cached = {"FASTNN_CACHE": str(tmp_path / "cache")}
    run_units("one", **cached)
    (tmp_path / "cache").chmod(0o777)
    said = run_units("one", "two", **cached)
    assert n_compiled(said) == 2
    assert not list(tmp_path.glob("cache/*/two*"))
    assert sum("can be written by every user" in line for line in said) == 1


@needs_posix
@pytest.mark.slow
@pytest.mark.parametrize("fault", ["everybody writes", "link"])
def test_file_that_others_could_have_written_is_replaced(tmp_path, fault):
    cached = {"FASTNN_CACHE": str(tmp_path / "cache")}
    run_units("one", **cached)
    (file,) = tmp_path.glob("cache/*/one.unit")
    if fault == "everybody writes":
        file.chmod(0o666)
    else:
        file.rename(tmp_path / "elsewhere")
        file.symlink_to(tmp_path / "elsewhere")
    assert n_compiled(run_units("one", **cached)) == 1
    assert not file.is_symlink() and not mode(file) & 0o002
    assert n_compiled(run_units("one", **cached)) == 0


@needs_posix
@pytest.mark.slow
def test_files_and_locks_are_not_written_through_links(tmp_path):
    cached = {"FASTNN_CACHE": str(tmp_path / "cache")}
    run_units("one", **cached)
    (file,) = tmp_path.glob("cache/*/one.unit")
    target = tmp_path / "precious"
    target.write_text("precious")
    for suffix in (".unit", ".lock"):
        file.with_name(f"two{suffix}").symlink_to(target)
    assert n_compiled(run_units("two", **cached)) == 1
    assert target.read_text() == "precious"


def read_only_use(filled, user):
    """Run cached units, and one that is not, as a user who may only read; return their stderr."""
    cached = {"FASTNN_CACHE": str(filled), "HOME": "/nonexistent"}
    before = sorted(filled.rglob("*"))
    said = [run_units(*units, user=user, **cached) for units in (("one", "two"), ("one", "three"))]
    assert sorted(filled.rglob("*")) == before
    return said


@needs_root
@pytest.mark.slow
def test_second_user_uses_what_root_has_prepared(for_all):
    """As in a container that is built by root and run by somebody else."""
    run_units("one", "two", FASTNN_CACHE=str(for_all / "cache"))
    there, one_missing = read_only_use(for_all / "cache", NOBODY)
    assert there == []
    assert one_missing == [
        "fastnn: compiling its kernels for this process, which cannot write to its disk cache; "
        "this takes a few seconds",
        "compiles",
    ]


@needs_root
@pytest.mark.slow
def test_user_does_not_use_what_another_has_prepared(for_all):
    filled = for_all / "cache"
    filled.mkdir()
    os.chown(filled, SOMEBODY, SOMEBODY)
    run_units("one", user=SOMEBODY, FASTNN_CACHE=str(filled), HOME="/nonexistent")
    assert list(filled.glob("*/one.unit"))
    for user in (NOBODY, None):  # not even root
        said = run_units("one", user=user, FASTNN_CACHE=str(filled), HOME="/nonexistent")
        assert n_compiled(said) == 1
        assert any("belongs to another user" in line for line in said)


@needs_root
@pytest.mark.slow
def test_own_cache_without_write_permission_is_used(for_all):
    filled = for_all / "cache"
    filled.mkdir()
    os.chown(filled, NOBODY, NOBODY)
    run_units("one", "two", user=NOBODY, FASTNN_CACHE=str(filled), HOME="/nonexistent")
    for directory in filled.glob("*"):
        directory.chmod(0o500)
    filled.chmod(0o500)
    there, one_missing = read_only_use(filled, NOBODY)
    assert there == [] and n_compiled(one_missing) == 1


@needs_posix
@pytest.mark.slow
@pytest.mark.skipif(os.name != "nt" and os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_cache_is_used(tmp_path):
    filled = tmp_path / "cache"
    run_units("one", "two", FASTNN_CACHE=str(filled))
    (directory,) = filled.iterdir()
    directory.chmod(0o500)
    there, one_missing = read_only_use(filled, None)
    assert there == [] and n_compiled(one_missing) == 1
