"""A program that knows scikit-learn only, run on fastnn: by a call, or by ``python -m fastnn``."""

import importlib.util
import os
import pickle
import subprocess
import sys
import types
from collections.abc import Mapping

import numpy as np
import pytest
import sklearn.neural_network
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier as Mine
from sklearn.neural_network import _multilayer_perceptron as defining
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.discovery import all_estimators

import fastnn
from common import child_environment, make_problem
from fastnn.estimators import stats
from fastnn.estimators.base import BaseMultilayerPerceptron

THEIRS = {"MLPClassifier": Mine, "MLPRegressor": sklearn.neural_network.MLPRegressor}
X, y = make_problem("binary")


@pytest.fixture(autouse=True)
def _unpatch():
    yield
    fastnn.unpatch_sklearn()
    assert public_names() == THEIRS


def public_names():
    return {name: getattr(sklearn.neural_network, name) for name in THEIRS}


def here():
    """The class by the name that this module imported."""
    return globals()["Mine"]


# ---- patch_sklearn -----------------------------------------------------------------


def test_names_are_replaced_and_given_back():
    fastnn.patch_sklearn()
    assert public_names() == {name: getattr(fastnn, name) for name in THEIRS}
    assert here() is fastnn.MLPClassifier
    fastnn.unpatch_sklearn()
    assert public_names() == THEIRS
    assert here() is THEIRS["MLPClassifier"]
    assert fastnn.MLPClassifier.__module__ == "fastnn.estimators.classifier"


def test_twice_and_once_back():
    fastnn.patch_sklearn()
    fastnn.patch_sklearn()
    fastnn.unpatch_sklearn()
    assert public_names() == THEIRS and here() is THEIRS["MLPClassifier"]
    fastnn.unpatch_sklearn()
    assert public_names() == THEIRS


def test_second_call_finds_new_names(monkeypatch):
    fastnn.patch_sklearn()
    late = types.ModuleType("late")
    late.Net = defining.MLPRegressor
    monkeypatch.setitem(sys.modules, "late", late)
    fastnn.patch_sklearn()
    assert late.Net is fastnn.MLPRegressor
    fastnn.unpatch_sklearn()
    assert late.Net is defining.MLPRegressor


def test_context():
    with fastnn.patch_sklearn():
        with fastnn.patch_sklearn():
            assert here() is fastnn.MLPClassifier
        assert here() is fastnn.MLPClassifier
    assert here() is THEIRS["MLPClassifier"]
    fastnn.patch_sklearn()
    with fastnn.patch_sklearn():
        pass
    assert here() is fastnn.MLPClassifier


def test_names_bound_anew_stay(monkeypatch):
    other = types.ModuleType("other")
    other.Net = defining.MLPRegressor
    monkeypatch.setitem(sys.modules, "other", other)
    with fastnn.patch_sklearn():
        other.Net = int
    assert other.Net is int


def test_lazy_modules_stay_unloaded(tmp_path, monkeypatch):
    path = tmp_path / "lazy_one.py"
    path.write_text("raise RuntimeError('was loaded')")
    spec = importlib.util.spec_from_file_location("lazy_one", path)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    lazy = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "lazy_one", lazy)
    monkeypatch.setitem(sys.modules, "no_module", object())
    spec.loader.exec_module(lazy)
    with fastnn.patch_sklearn():
        assert here() is fastnn.MLPClassifier
    with pytest.raises(RuntimeError, match="was loaded"):
        _ = lazy.anything


def test_scikit_learns_models_stay_scikit_learns():
    """Models that exist, come from pickles of before, or are pickled meanwhile keep their class."""
    model = defining.MLPClassifier(max_iter=2).fit(X, y)
    pickled = pickle.dumps(model)
    with fastnn.patch_sklearn():
        for loaded in (pickle.loads(pickled), pickle.loads(pickle.dumps(model))):
            assert type(loaded) is THEIRS["MLPClassifier"]
            assert (loaded.predict_proba(X) == model.predict_proba(X)).all()
        model.fit(X, y).partial_fit(X, y)


def test_models_pickled_meanwhile_are_fastnns():
    with fastnn.patch_sklearn():
        pickled = pickle.dumps(sklearn.neural_network.MLPClassifier(max_iter=2).fit(X, y))
    assert type(pickle.loads(pickled)) is fastnn.MLPClassifier


def test_subclasses():
    """One from before is scikit-learn's; one made meanwhile is fastnn's."""

    class Before(here()):
        pass

    with fastnn.patch_sklearn():
        assert isinstance(Before(max_iter=2).fit(X, y), THEIRS["MLPClassifier"])

        class Meanwhile(here()):
            pass

        assert isinstance(Meanwhile(max_iter=2).fit(X, y), fastnn.MLPClassifier)


CLASSES = ("MLPClassifier", "MLPRegressor", "BaseMultilayerPerceptron")


def kinship():
    """Whether each class is one of the other, of both libraries, and their models instances."""
    ours = [
        fastnn.MLPClassifier,
        fastnn.MLPRegressor,
        BaseMultilayerPerceptron,
    ]
    classes = {f"fastnn.{cls.__name__}": cls for cls in ours}
    classes |= {f"sklearn.{name}": getattr(defining, name) for name in CLASSES}
    found = {
        (a, b): issubclass(cls_a, cls_b)
        for a, cls_a in classes.items()
        for b, cls_b in classes.items()
    }
    for (a, b), is_kin in found.items():
        if "Base" not in a:
            assert isinstance(classes[a](), classes[b]) == is_kin
    return {pair for pair, is_kin in found.items() if is_kin}


def own_name(qualified):
    return qualified.partition(".")[2]


def test_isinstance_holds_for_scikit_learns_classes_and_ends():
    before = kinship()
    for _ in range(2):
        with fastnn.patch_sklearn():
            meanwhile = kinship()
        assert kinship() == before
    # Each class is what its twin is, and nothing else changes.
    names = {(own_name(a), own_name(b)) for a, b in before}
    assert {(own_name(a), own_name(b)) for a, b in meanwhile} == names
    assert len(meanwhile) == 4 * len(names) == 2 * len(before)
    assert {type(cls) for cls in THEIRS.values()} == {type(defining.BaseMultilayerPerceptron)}


def test_isinstance_of_subclasses():
    class Ours(fastnn.MLPClassifier):
        pass

    class Theirs(defining.MLPClassifier):
        pass

    ours, private_base = Ours(), defining.BaseMultilayerPerceptron
    for _ in range(2):
        assert not isinstance(ours, (THEIRS["MLPClassifier"], private_base))
        with fastnn.patch_sklearn():
            assert isinstance(ours, here()) and isinstance(ours, private_base)
            assert isinstance(ours, THEIRS["MLPClassifier"]) and not isinstance(ours, Theirs)
            assert not isinstance(ours, THEIRS["MLPRegressor"])
            # Objects from before, and from pickles, are instances, too.
            assert isinstance(Theirs(), here()) and not issubclass(Theirs, Ours)
            assert not isinstance(3, here()) and not issubclass(int, private_base)
            with pytest.raises(TypeError, match="must be a class"):
                issubclass(3, private_base)

            class Both(here(), Mapping):
                """As one of scikit-learn's may be, which is an ABC."""

        assert isinstance(Theirs(), private_base) and not isinstance(Theirs(), Ours)


def test_exchange_while_replaced():
    """Conversion still tells the two libraries' estimators apart."""
    theirs = defining.MLPClassifier(max_iter=2).fit(X, y)
    with fastnn.patch_sklearn():
        ours = here().from_sklearn(theirs)
        assert type(ours) is fastnn.MLPClassifier
        assert type(ours.to_sklearn()) is THEIRS["MLPClassifier"]
        with pytest.raises(TypeError, match="It is an estimator of this package already"):
            here().from_sklearn(ours)
        with pytest.raises(TypeError, match="Use MLPClassifier.from_sklearn"):
            fastnn.MLPRegressor.from_sklearn(theirs)


def test_all_estimators():
    before = dict(all_estimators())
    with fastnn.patch_sklearn():
        meanwhile = dict(all_estimators())
    changed = {name for name in before if before[name] is not meanwhile[name]}
    assert before.keys() == meanwhile.keys() and changed == THEIRS.keys()


@pytest.mark.slow
def test_grid_search_with_workers():
    with fastnn.patch_sklearn():
        model = make_pipeline(StandardScaler(), here()(max_iter=3, random_state=0))
        grid = {"mlpclassifier__hidden_layer_sizes": [(3,), (4,)]}
        search = GridSearchCV(model, grid, n_jobs=2, cv=2, error_score="raise").fit(X, y)
    assert isinstance(search.best_estimator_[-1], fastnn.MLPClassifier)


# ---- python -m fastnn --------------------------------------------------------------

SCRIPT = """
import atexit, json, sys
from sklearn.neural_network import MLPClassifier
import beside

def fail():
    raise ValueError("this went wrong")

if __spec__ is None:
    atexit.register(lambda: print("module at exit:", sys.modules["__main__"].fail is fail))
if __name__ == "__main__":
    print(json.dumps([sys.argv, sys.path[0], __file__]))
    print(getattr(__spec__, "name", None), __package__)
    print(beside.Net.__name__)
    print(MLPClassifier.__module__, file=open("which", "w"))
    if "fail" in sys.argv:
        fail()
    if "interrupt" in sys.argv:
        raise KeyboardInterrupt
    if "exit" in sys.argv:
        sys.exit(7)
    if "message" in sys.argv:
        sys.exit("leaving")
"""


@pytest.fixture
def folder(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "program.py").write_text(SCRIPT)
    (package / "beside.py").write_text("from sklearn.neural_network import MLPClassifier as Net")
    (package / "wrong.py").write_text("def f(:")
    (tmp_path / "beside.py").write_text("from sklearn.neural_network import MLPRegressor as Net")
    return tmp_path


def python(folder, *arguments, **variables):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=child_environment(**variables),
        capture_output=True,
        text=True,
        timeout=300,
    )


SCRIPT_CALLS = (
    ["package/program.py", "a", "-m", "--stats", "--output"],
    ["package/program.py", "fail"],
    ["package/program.py", "interrupt"],
    ["package/program.py", "exit"],
    ["package/program.py", "message"],
    ["package/wrong.py"],
    ["no_such_file.py"],
    # Without a __main__.py; and options' end, as python has it.
    ["package"],
    ["--", "package/program.py", "--", "-m"],
)


@pytest.mark.parametrize("call", SCRIPT_CALLS, ids=" ".join)
@pytest.mark.slow
def test_script_runs_as_by_python(folder, call):
    """The same arguments, paths, output, exit code and traceback; another class."""
    expected = python(folder, *call)
    actual = python(folder, "-m", "fastnn", *call)
    assert actual.returncode == expected.returncode
    assert actual.stdout == expected.stdout
    assert actual.stderr == expected.stderr
    if "package/program.py" in call:
        assert "module at exit: True" in actual.stdout
        assert (folder / "which").read_text() == "fastnn.estimators.classifier\n"


@pytest.mark.parametrize("call", [["package.program", "-x"], ["package.no_such"]], ids=" ".join)
@pytest.mark.slow
def test_module_runs_as_by_python(folder, call):
    # Here `beside` is the one in the current folder.
    expected = python(folder, "-m", *call)
    actual = python(folder, "-m", "fastnn", "-m", *call)
    assert actual.returncode == expected.returncode
    assert (actual.stdout, actual.stderr) == (expected.stdout, expected.stderr)


@pytest.mark.slow
def test_traceback_of_a_module(folder):
    # With the option's value beside it, as python takes it.
    actual = python(folder, "-m", "fastnn", "-mpackage.program", "fail")
    assert actual.returncode == 1
    assert actual.stderr.startswith("Traceback") and "this went wrong" in actual.stderr
    assert actual.stderr.count("File ") == 2 and actual.stderr.count("program.py") == 2


@pytest.mark.slow
def test_folder_with_a_main(folder):
    (folder / "package" / "__main__.py").write_text(SCRIPT)
    assert python(folder, "-m", "fastnn", "package", "exit").returncode == 7
    assert (folder / "which").read_text() == "fastnn.estimators.classifier\n"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--stats"], "a program is missing"),
        (["--advice"], "a program is missing"),
        (["-m"], "a program is missing"),
        (["--output", "x", "script.py"], "--output is for the demo"),
        (["--output", "no/such/x.png"], "in a folder that exists: no/such/x.png"),
        (["--output", "."], "the path of a file"),
        (["--no-such-option"], "unrecognized arguments"),
    ],
)
@pytest.mark.slow
def test_usage(tmp_path, arguments, message):
    actual = python(tmp_path, "-m", "fastnn", *arguments)
    assert actual.returncode == 2 and message in actual.stderr


# ---- --stats -----------------------------------------------------------------------

TRAINING = """
import sys
import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor

rng = np.random.default_rng(0)
X = rng.standard_normal((61, 5))
y = (X[:, 0] > 0).astype(int)
if __name__ == "__main__":
    model = MLPClassifier((7,), max_iter=4, random_state=0)
    search = GridSearchCV(model, {"alpha": [0.1, 0.2, 0.3]}, cv=3, n_jobs=int(sys.argv[1]))
    search.fit(X, y)
    net = MLPRegressor(hidden_layer_sizes=(3, 2)).partial_fit(X, y).partial_fit(X, y)
    try:
        net.fit(X[:, :0], y)
    except ValueError:
        print("done")
    sys.exit(3)
"""


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.slow
def test_stats(tmp_path, n_jobs):
    """A line for equal fits, those in workers too; failed fits trained nothing."""
    (tmp_path / "train.py").write_text(TRAINING)
    run = python(
        tmp_path, "-W", "ignore", "-m", "fastnn", "--stats", "train.py", str(n_jobs),
        PYTHONWARNINGS="ignore", TMPDIR=str(tmp_path),
    )  # fmt: skip
    assert (run.returncode, run.stdout) == (3, "done\n"), run.stderr
    lines = [line.split() for line in run.stderr.splitlines()]
    assert lines[0] == "estimator rows x features layers fits iterations seconds".split()
    assert lines[1][:-1] == "MLPClassifier 40 - 41 x 5 5-7-1 9 36".split()
    assert lines[2][:-1] == "MLPClassifier 61 x 5 5-7-1 1 4".split()
    assert lines[3][:-1] == "MLPRegressor.partial_fit 61 x 5 5-3-2-1 2 2".split()
    seconds = [float(line[-1]) for line in lines[1:4]]
    assert lines[4][:2] == ["12", "fits"]
    assert float(lines[4][3]) == pytest.approx(sum(seconds), abs=0.03)
    assert ("9 of them in" in run.stderr) == (n_jobs == 2)
    assert "10 stopped: " in run.stderr
    # The records are gone.
    assert sorted(path.name for path in tmp_path.iterdir() if "fastnn" in path.name) == []


@pytest.mark.slow
def test_stats_after_a_failure(tmp_path):
    (tmp_path / "train.py").write_text(TRAINING.replace("sys.exit(3)", "1 / 0"))
    assert "1 / 0" in (tmp_path / "train.py").read_text()
    run = python(tmp_path, "-m", "fastnn", "--stats", "train.py", "1", PYTHONWARNINGS="ignore")
    assert run.returncode == 1
    assert run.stderr.index("ZeroDivisionError") < run.stderr.index("12 fits of")


FORKING = """
import os, sys
from fastnn import Perceptron
from sklearn.neural_network import MLPClassifier
X, y = [[0.0], [1.0], [2.0]], [0, 1, 1]
MLPClassifier((2,), max_iter=3).fit(X, y)
child = os.fork()
if not child:
    sys.exit()
os.waitpid(child, 0)
Perceptron().fit(X, y)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_stats_of_a_program_that_forks(tmp_path):
    """The child that ends takes no record with it."""
    (tmp_path / "fork.py").write_text(FORKING)
    run = python(tmp_path, "-W", "ignore", "-m", "fastnn", "--stats", "fork.py")
    assert run.returncode == 0 and "\n2 fits of" in run.stderr, run.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs a shell of POSIX")
def test_stats_without_a_stderr(tmp_path):
    """They go nowhere, least of all to stdout."""
    (tmp_path / "idle.py").write_text("print('idle')")
    command = f"{sys.executable} -m fastnn --stats idle.py 2>&-; echo $?"
    run = python(tmp_path, "-c", f"import subprocess; subprocess.run({command!r}, shell=True)")
    assert run.stdout.split() == ["idle", "0"], run.stderr


@pytest.mark.slow
def test_stats_without_a_fit(tmp_path):
    (tmp_path / "idle.py").write_text("print('idle')")
    run = python(tmp_path, "-m", "fastnn", "--stats", "idle.py")
    assert run.returncode == 0 and run.stderr.startswith("fastnn: no fits in ")


def test_records(tmp_path, monkeypatch):
    """A record describes the fit; a folder that is gone harms no fit."""
    fit = fastnn.MLPRegressor(hidden_layer_sizes=3, max_iter=5, solver="lbfgs").fit
    monkeypatch.delenv(stats.VARIABLE, raising=False)
    fit(X, y)
    monkeypatch.setenv(stats.VARIABLE, str(tmp_path))
    model = fit(X.tolist(), y)
    (entry,) = stats.read(tmp_path)
    assert entry["layers"] == [7, 3, 1] and entry["rows"] == len(X)
    assert entry["iterations"] == model.n_iter_ and entry["pid"] == os.getpid()
    assert entry["stop_reason"] == model.stop_reason_
    monkeypatch.setenv(stats.VARIABLE, str(tmp_path / "gone"))
    fit(X, y)
    assert len(stats.read(tmp_path)) == 1


def test_records_of_a_perceptron(tmp_path, monkeypatch):
    monkeypatch.setenv(stats.VARIABLE, str(tmp_path))
    labels = np.arange(len(X)) % 3
    model = fastnn.Perceptron(max_iter=2).fit(X, labels)
    model.partial_fit(X, labels)
    entries = stats.read(tmp_path)
    assert [entry["estimator"] for entry in entries] == ["Perceptron", "Perceptron.partial_fit"]
    assert [entry["iterations"] for entry in entries] == [2, 1]
    assert entries[0]["layers"] == [7, 3] and entries[0]["rows"] == len(X)


def test_records_that_cannot_be_read_are_left_out(tmp_path, monkeypatch):
    """The last line of a process that was killed; and what is no file."""
    monkeypatch.setenv(stats.VARIABLE, str(tmp_path))
    fastnn.MLPRegressor(hidden_layer_sizes=3, max_iter=2).fit(X, y)
    (path,) = tmp_path.iterdir()
    (tmp_path / "0.jsonl").write_bytes(path.read_bytes() + path.read_bytes()[:-20])
    (tmp_path / "1.jsonl").mkdir()
    assert len(stats.read(tmp_path)) == 2
    assert stats.read(tmp_path / "gone") == []
