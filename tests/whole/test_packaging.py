"""The package's promises about its import, its signatures and its documentation."""

import ast
import doctest
import inspect
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import sklearn.base

import fastnn
from common import (
    ESTIMATORS,
    OWN_OF_EACH,
    fitted_attributes,
    make_problem,
    needs_sklearn,
    run_python,
    scikit_learn_twin,
)
from requirements import requires_at_runtime

PACKAGE = Path(fastnn.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
PUBLIC = [getattr(fastnn, name) for name in fastnn.__all__ if not name.startswith("__")]
RUNTIME = {"numba", "numpy", "platformdirs", "scipy", "scikit-learn"}

IMPORT = """
import json, sys
import sklearn.neural_network
import numba
from numba.core import event

before = set(sys.modules)
with event.install_recorder("numba:run_pass") as passes:
    import fastnn
print(json.dumps({"new": sorted(set(sys.modules) - before), "passes": len(passes.buffer)}))
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """The effects of `import fastnn` in a new process, and the cache folder that it has."""
    folder = tmp_path_factory.mktemp("cache")
    return run_python(IMPORT, FASTNN_CACHE=str(folder), NUMBA_CACHE_DIR=str(folder)), folder


def test_import_compiles_nothing(imported):
    report, folder = imported
    assert report["passes"] == 0
    assert list(folder.rglob("*")) == []
    assert not any(name.startswith("numba") for name in report["new"])


def test_import_brings_nothing_else(imported):
    """Beyond scikit-learn's networks and Numba: the standard library and fastnn, no CUDA."""
    report, _ = imported
    packages = {name.partition(".")[0] for name in report["new"]}
    assert "fastnn" in packages
    assert packages - set(sys.stdlib_module_names) == {"fastnn"}
    assert not any("cuda" in name for name in report["new"])
    assert len(report["new"]) < 70


def test_compilation_would_be_seen():
    """The recorder above does see Numba's compiler at work."""
    code = IMPORT.replace("import fastnn", "import fastnn; numba.njit(lambda x: x + 1)(1)")
    assert run_python(code)["passes"] > 0


def test_dependencies():
    """The runtime needs five packages, and no module imports another at the top."""
    names = [re.match(r"[\w-]+", line)[0] for line in requires_at_runtime()]
    assert set(names) == RUNTIME
    allowed = set(sys.stdlib_module_names) | {"fastnn", "numba", "llvmlite", "numpy", "scipy"}
    allowed |= {"sklearn", "joblib", "threadpoolctl"}  # scikit-learn depends on the last two
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                imported = [node.module]
            else:
                continue
            assert {name.partition(".")[0] for name in imported} <= allowed, path


def test_files():
    """Python only, in modules of a size to read."""
    files = [p for p in PACKAGE.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert {p.suffix for p in files} <= {".py", ".typed"}
    lengths = {str(p.relative_to(PACKAGE)): len(p.read_text().splitlines()) for p in MODULES}
    assert {name: n for name, n in lengths.items() if n > 500} == {}


METHODS = [
    (Estimator, name)
    for Estimator in ESTIMATORS
    for name, member in inspect.getmembers(type(scikit_learn_twin(Estimator())))
    if not name.startswith("_") and callable(member)
]


def signature(cls, name):
    return list(inspect.signature(getattr(cls, name)).parameters.values())


@needs_sklearn("1.7")
@pytest.mark.parametrize("Estimator, name", [(E, "__init__") for E in ESTIMATORS] + METHODS)
def test_signatures(Estimator, name):
    """scikit-learn's parameters, in order, kind and default; then keywords of our own."""
    expected = signature(type(scikit_learn_twin(Estimator())), name)
    actual = signature(Estimator, name)
    if name.endswith("_request"):
        assert {p.name for p in expected} <= {p.name for p in actual}
        return
    start = actual[: len(expected)]
    for a, b in zip(start, expected, strict=True):
        assert (a.name, a.kind) == (b.name, b.kind)
        assert a.default == b.default
    for own in actual[len(expected) :]:
        assert own.kind is inspect.Parameter.KEYWORD_ONLY
        assert own.default is not inspect.Parameter.empty


@needs_sklearn("1.7")
@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_own_parameters(Estimator):
    theirs = scikit_learn_twin(Estimator()).get_params()
    own = {k: v for k, v in Estimator().get_params().items() if k not in theirs}
    assert own == OWN_OF_EACH[Estimator]
    assert isinstance(Estimator(), sklearn.base.BaseEstimator)


def sections(documented):
    """The numpydoc sections of a docstring, by their titles."""
    doc = inspect.getdoc(documented)
    parts = re.split(r"^(\w[\w ]*)\n(-+)$", doc, flags=re.MULTILINE)
    titles = parts[1::3]
    for title, underline in zip(titles, parts[2::3], strict=True):
        assert len(title) == len(underline), title
    return {"Summary": parts[0], **dict(zip(titles, parts[3::3], strict=True))}


def entries(section):
    """Names of a section's entries with what their first lines say of the type."""
    lines = re.findall(r"^(\S.*?) : (.+)$", section, flags=re.MULTILINE)
    return {name: kind for names, kind in lines for name in names.split(", ")}


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_documented_parameters(Estimator):
    """Each parameter is documented, in order, with its type and its true default."""
    parameters = inspect.signature(Estimator).parameters
    documented = entries(sections(Estimator)["Parameters"])
    assert list(documented) == list(parameters)
    for name, kind in documented.items():
        value = ast.literal_eval(re.fullmatch(r".+, default=(.+)", kind)[1])
        assert value == parameters[name].default, name


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_documented_attributes(Estimator):
    """Each fitted attribute is documented, and each documented one exists after some fit."""
    pd = pytest.importorskip("pandas")
    X, y = make_problem("binary")
    frame = pd.DataFrame(X).add_prefix("x")
    seen = set()
    for params in ({}, {"early_stopping": True}, {"solver": "lbfgs"}, {"solver": "sgd"}):
        seen |= fitted_attributes(Estimator(max_iter=2, **params).fit(frame, y)).keys()
    theirs = scikit_learn_twin(Estimator(max_iter=2)).fit(frame, y)
    assert fitted_attributes(theirs).keys() <= seen
    assert set(entries(sections(Estimator)["Attributes"])) == seen


def own_methods():
    for Estimator in ESTIMATORS:
        for name, method in inspect.getmembers(Estimator):
            if callable(method) and not name.startswith("_"):
                if inspect.unwrap(method).__module__.startswith("fastnn"):
                    yield pytest.param(method, id=f"{Estimator.__name__}.{name}")


@pytest.mark.parametrize("method", list(own_methods()))
def test_documented_methods(method):
    doc = sections(method)
    assert doc["Summary"].strip() and "Returns" in doc
    names = [name for name in inspect.signature(method).parameters if name != "self"]
    assert list(entries(doc.get("Parameters", ""))) == names
    assert len(entries(doc["Returns"])) >= 1


def test_own_methods_are_found():
    names = {param.id for param in own_methods()}
    for method in ("fit", "partial_fit", "predict"):
        assert {f"MLPClassifier.{method}", f"MLPRegressor.{method}"} <= names
    assert {"MLPClassifier.predict_proba", "MLPClassifier.predict_log_proba"} <= names


@pytest.mark.parametrize("documented", PUBLIC, ids=lambda documented: documented.__name__)
def test_public_docstrings(documented):
    """A summary line, parameters, and an example that pytest runs as a doctest."""
    doc = sections(documented)
    assert doc["Summary"].splitlines()[0].endswith(".")
    names = list(inspect.signature(documented).parameters)
    assert list(entries(doc.get("Parameters", ""))) == names
    if not inspect.isclass(documented):
        # A function that only registers, sets, shows or undoes returns nothing.
        nothing = ("register_", "set_", "show_", "unpatch_")
        returns_nothing = documented.__name__.startswith(nothing)
        assert ("Returns" in doc) != returns_nothing
    examples = doctest.DocTestParser().get_examples(doc["Examples"])
    assert len(examples) >= 2


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_docstrings(path):
    """Each module begins by saying what it is for."""
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_names_of_the_package():
    assert set(fastnn.__all__) >= {"MLPClassifier", "MLPRegressor", "warmup", "__version__"}
    assert set(fastnn.__all__) <= set(dir(fastnn))
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", fastnn.__version__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = fastnn.no_such_name


def test_warmup_returns_seconds():
    seconds = fastnn.warmup(dtype="float64", verbose=False)
    assert np.isfinite(seconds) and seconds > 0
