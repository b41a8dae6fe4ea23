"""The import rule of the house, and that files, functions and parameter lists stay short."""

import ast
import re
from pathlib import Path

import pytest

import fastnn
from fastnn.kernels import MODULES

PACKAGE = Path(fastnn.__file__).parent
KERNELS = PACKAGE / "kernels"
REGISTRIES = ("activations", "losses", "optimizers")
# Modules that every other may import, and that import none of fastnn's but each other.
FOR_ALL = ("_version", "exceptions", "forks", "notices", "streams")
# The rooms between the kernels and the estimators, from below, and what each may import of
# fastnn's besides itself and the modules for all. Only the estimators' row, what serves it and what
# uses it know scikit-learn.
ROOMS = {"network": ("kernels",), "training": ("network",)}

# Modules of Numba and llvmlite that have no promise of stability, and attributes of what is theirs.
NUMBAS_INTERNALS = ("numba.core", "numba.np", "numba.cpython", "numba.parfors", "llvmlite.binding")
ATTRIBUTES_OF_INTERNALS = {
    "_can_compile", "_compile_uncached", "_compiler", "_library", "_pyfunc", "_rebuild", "_reduce",
    "_wrapper_address", "_wrapper_name", "locals", "nopython_signatures", "targetoptions",
}  # fmt: skip


def imports(path):
    """Full names of all that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def top_level_imports(path):
    """Full names of what importing a file imports."""
    tree = ast.parse(path.read_text())
    names = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return names


def dotted(path):
    """The name of a module of the kernels, as it is listed."""
    return ".".join(path.relative_to(KERNELS).with_suffix("").parts)


def test_every_kernel_module_is_listed():
    found = {dotted(path) for path in KERNELS.rglob("*.py") if path.stem != "__init__"}
    assert found == set(MODULES)


# The folders of the devices, which know nothing of one another.
DEVICES = {"fastnn.kernels.cpu", "fastnn.kernels.cuda"}


@pytest.mark.parametrize("module", MODULES)
def test_kernels_know_no_device_but_their_own(module):
    path = KERNELS.joinpath(*module.split(".")).with_suffix(".py")
    own = f"fastnn.kernels.{module.split('.')[0]}"
    others = tuple(f"{device}." for device in DEVICES - {own})
    assert not [name for name in imports(path) if f"{name}.".startswith(others)]


def test_one_module_imports_the_packages_of_cuda():
    """And only where a GPU is asked for."""
    for path in PACKAGE.rglob("*.py"):
        is_seam = path == KERNELS / "cuda" / "packages.py"
        names = imports(path) | ({"cuda"} if is_seam else set())
        cuda = {name for name in names if name.split(".")[0] == "cuda" or "numba.cuda" in name}
        assert is_seam or not cuda, path


@pytest.mark.parametrize("module", MODULES)
def test_kernels_import_downwards(module):
    """Each may import those before it in the list, and the modules for all."""
    allowed = ("MODULES", *MODULES[: MODULES.index(module)])
    allowed = tuple(f"fastnn.kernels.{name}." for name in allowed)
    path = KERNELS.joinpath(*module.split(".")).with_suffix(".py")
    for name in imports(path) - DEVICES:
        if name.startswith("fastnn.kernels."):
            assert f"{name}.".startswith(allowed), f"{module} imports {name}"
        elif name.startswith("fastnn.") and name != "fastnn.kernels":
            assert name.split(".")[1] in FOR_ALL, f"{module} imports {name}"


@pytest.mark.parametrize("module", FOR_ALL)
def test_modules_for_all_import_each_other_at_most(module):
    names = imports(PACKAGE / f"{module}.py")
    assert {name.split(".")[1] for name in names if name.startswith("fastnn.")} <= set(FOR_ALL)
    assert not any(name.startswith(("sklearn", "numba", "llvmlite")) for name in names)


@pytest.mark.parametrize("module", (*REGISTRIES, "optimizer_rule"))
def test_registries_know_no_compiler(module):
    assert not any(
        name.startswith(("numba", "llvmlite")) for name in imports(KERNELS / f"{module}.py")
    )


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_numbas_internals_are_in_one_place(path):
    """Only what Numba promises to keep may be imported anywhere else in the kernels."""
    if path.stem != "numba_internals":
        assert not {name for name in imports(path) if name.startswith(NUMBAS_INTERNALS)}
        if path.stem != "dispatchers":
            nodes = list(ast.walk(ast.parse(path.read_text())))
            read = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
            named = {str(node.value) for node in nodes if isinstance(node, ast.Constant)}
            assert not read & ATTRIBUTES_OF_INTERNALS
            assert not {text for text in named if text.startswith(NUMBAS_INTERNALS)}


def test_dispatchers_does_not_import_numba():
    assert imports(KERNELS / "dispatchers.py") == {"sys"}


@pytest.mark.parametrize("path", sorted(KERNELS.rglob("*.py")), ids=lambda path: path.stem)
def test_kernels_do_not_know_scikit_learn(path):
    assert not any(name.startswith("sklearn") for name in imports(path))


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_below_the_estimators(room):
    for path in (PACKAGE / room).rglob("*.py"):
        names = imports(path)
        assert not any(name.startswith("sklearn") for name in names)
        own = {name.split(".")[1] for name in names if name.startswith("fastnn.")}
        assert own <= {room, *ROOMS[room], *FOR_ALL}, path
        kernels = {name.split(".")[2] for name in names if name.startswith("fastnn.kernels.")}
        assert kernels <= set(REGISTRIES), path


# Modules of the kernels that the estimators may import: the registries, and all that tells what a
# user's function means. They import no compiler.
OPEN_TO_ESTIMATORS = {*REGISTRIES, "dispatchers", "fingerprint"}


ESTIMATORS = PACKAGE / "estimators"


@pytest.mark.parametrize(
    "module",
    sorted(
        path.relative_to(ESTIMATORS).with_suffix("").as_posix() for path in ESTIMATORS.rglob("*.py")
    ),
)
def test_estimators_reach_compiled_code_by_a_backend(module):
    path = ESTIMATORS / f"{module}.py"
    names = {name for name in imports(path) if name.startswith("fastnn.kernels.")}
    if module == "carried":
        # A pickle holds a user's Numba function as a call of this one.
        names -= {"fastnn.kernels.cpu.jit", "fastnn.kernels.cpu.jit.jitted"}
    assert {name.split(".")[2] for name in names} <= OPEN_TO_ESTIMATORS


def test_backends_import_devices_only():
    names = imports(PACKAGE / "backends.py")
    assert not any(name.startswith("sklearn") for name in names)
    kernels = {name.split(".")[2] for name in names if name.startswith("fastnn.kernels.")}
    assert kernels <= {"cpu", "cuda"}


def test_a_device_is_imported_when_it_is_asked_for():
    assert not any("kernels" in name for name in top_level_imports(PACKAGE / "backends.py"))


def test_only_backends_asks_for_the_device():
    """Nothing else compares a device with a name of one."""
    names = {"cpu", "cuda", "auto"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare) and "device" in ast.dump(node):
                constants = {
                    each.value for each in ast.walk(node) if isinstance(each, ast.Constant)
                }
                assert path.name == "backends.py" or not constants & names, path


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_only_notices_warns(path):
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in ("warn", "warn_explicit")
        and ast.unparse(node.value) == "warnings"
    ]
    assert not calls or path.name == "notices.py"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_functions_fit_a_screen(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if body and node.name != "__init__":
                length = body[-1].end_lineno - body[0].lineno + 1
                assert length <= 60, f"{path.name}: {node.name} has {length} lines"


# The compiled product takes its words one by one, as a C function does.
OF_WORDS = {"multiply"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_parameter_lists_are_short(path):
    """Eight at most, but for public constructors and units, which have a step and a task first."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef) or node.name in {"__init__", *OF_WORDS}:
            continue
        names = [argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)]
        if names[:2] != ["step", "task"]:
            assert len(names) <= 8 + (names[:1] in (["self"], ["typingctx"])), (
                f"{path.name}: {node.name}"
            )


@pytest.mark.parametrize("folder", ["fastnn", "tests", "bench", "examples"])
def test_files_are_short(folder):
    # An installed package comes without the others.
    paths = (PACKAGE.parent / folder).rglob("*.py")
    lengths = {str(path): len(path.read_text().splitlines()) for path in paths}
    assert {name: n for name, n in lengths.items() if n > 500} == {}


def test_files_that_contributing_names_exist():
    root = PACKAGE.parent
    if not (root / "CONTRIBUTING.md").exists():
        pytest.skip("an installed package comes without it")
    names = re.findall(r"`([\w./]+\.py)`", (root / "CONTRIBUTING.md").read_text())
    folders = (
        root,
        PACKAGE,
        PACKAGE / "kernels",
        PACKAGE / "kernels" / "layers",
        PACKAGE / "estimators",
    )
    assert len(names) > 20
    assert [name for name in names if not any((folder / name).exists() for folder in folders)] == []
