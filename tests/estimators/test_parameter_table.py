"""The table of parameters, and all that is made of it or compared with it."""

import ast
import inspect
import re
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import sklearn.linear_model
import sklearn.neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import InvalidParameterError

import fastnn
from common import ESTIMATORS, make_problem, needs_sklearn
from fastnn import ImageAugmenter, MLPClassifier, MLPRegressor, Perceptron
from fastnn.estimators.parameter_table import TABLE, parameters_of
from fastnn.estimators.parameter_table.parameter import Parameter
from fastnn.estimators.parameters import USED_WITH
from fastnn.exceptions import AdviceWarning
from fastnn.tools import parameter_list, sections

CLASSES = (MLPClassifier, MLPRegressor, Perceptron)
THEIRS = {
    MLPClassifier: sklearn.neural_network.MLPClassifier,
    MLPRegressor: sklearn.neural_network.MLPRegressor,
    Perceptron: sklearn.linear_model.Perceptron,
}
README = Path(fastnn.__file__).parent.parent / "README.md"

ids = {"ids": lambda value: getattr(value, "__name__", None) or getattr(value, "name", None)}
of_each_class = pytest.mark.parametrize("cls", CLASSES, **ids)
of_each_entry = pytest.mark.parametrize("entry", TABLE, **ids)


# ---- constructors ------------------------------------------------------------------------


def disagreements(cls, table):
    """Where a constructor and the entries of its class disagree, in words."""
    arguments = inspect.signature(cls).parameters
    if list(arguments) != list(table):
        return f"the constructor has {list(arguments)}, the table {list(table)}"
    return "; ".join(
        f"{name}={arguments[name].default!r} in the constructor, {entry.default!r} in the table"
        for name, entry in table.items()
        # False is not 0 here, and 1.0 not 1.
        if repr(arguments[name].default) != repr(entry.default)
    )


@of_each_class
def test_constructor(cls):
    """It has the table's names, in the table's order, with the table's defaults."""
    assert disagreements(cls, parameters_of(cls.__name__)) == ""


def test_disagreements_are_found():
    table = parameters_of("MLPClassifier")
    assert "the table ['alpha'" in disagreements(MLPClassifier, {"alpha": table["alpha"]})
    backwards = dict(reversed(table.items()))
    assert "the constructor has" in disagreements(MLPClassifier, backwards)
    other = Parameter("shuffle", type="int", default=1, constraint=["boolean"], doc="")
    said = disagreements(MLPClassifier, table | {"shuffle": other})
    assert said == "shuffle=True in the constructor, 1 in the table"


@needs_sklearn("1.7")
@of_each_class
def test_whose_a_parameter_is(cls):
    """It is our own where scikit-learn's class of the same name lacks it."""
    theirs = inspect.signature(THEIRS[cls]).parameters
    for name, entry in parameters_of(cls.__name__).items():
        assert entry.is_own == (name not in theirs), name


def test_a_class_has_one_entry_of_a_name():
    for cls in CLASSES:
        names = [entry.name for entry in TABLE if cls.__name__ in entry.estimators]
        assert len(names) == len(set(names))
    assert {name for entry in TABLE for name in entry.estimators} == {c.__name__ for c in CLASSES}


# ---- docstrings --------------------------------------------------------------------------


def documented(cls):
    """The entries of a docstring's section of parameters: types, defaults and texts, by name."""
    doc = inspect.getdoc(cls)
    section = doc.partition("\nParameters\n----------\n")[2]
    section = re.split(r"\n\n\w[\w ]*\n---", section)[0]
    parts = re.split(r"^(\w+) : (.+?)(?:, default=(.+))?$", section, flags=re.MULTILINE)
    rows = zip(parts[1::4], parts[2::4], parts[3::4], parts[4::4], strict=True)
    return {name: (kind, default, text.strip()) for name, kind, default, text in rows}


@pytest.mark.parametrize("cls", [*CLASSES, ImageAugmenter], **ids)
def test_documented_defaults(cls):
    arguments = inspect.signature(cls).parameters
    found = documented(cls)
    assert list(found) == list(arguments)
    for name, (_, default, text) in found.items():
        if arguments[name].default is inspect.Parameter.empty:
            assert default is None
        else:
            assert repr(ast.literal_eval(default)) == repr(arguments[name].default), name
        assert text, name


@of_each_class
def test_documented_entries(cls):
    """Each entry's type and text are in the docstring, and nothing is left to fill in."""
    found = documented(cls)
    for name, entry in parameters_of(cls.__name__).items():
        kind, _, text = found[name]
        assert kind == entry.type
        assert "{metric}" not in text and "{stratified}" not in text
        # Between what differs from class to class, the words are those of the entry.
        for part in re.split(r"\{metric\}|\{stratified\}", entry.doc):
            assert " ".join(part.split()) in " ".join(text.split()), name


@of_each_entry
def test_texts_are_indented_as_in_a_docstring(entry):
    lines = entry.doc.split("\n")
    assert lines[0] == "" and lines[-1].strip() == ""
    assert all(line.startswith("    ") for line in lines[1:] if line)


# ---- constraints -------------------------------------------------------------------------


@of_each_entry
def test_default_is_allowed(entry):
    assert entry.allows(entry.default)


@pytest.mark.parametrize(
    "cls, entry",
    [(cls, entry) for cls in CLASSES for entry in parameters_of(cls.__name__).values()],
    **ids,
)
def test_constraint_counts(cls, entry):
    """A fit refuses what the table does not allow, and names the class and the parameter."""
    X, y = make_problem("binary")
    values = [value for value in (None, "no such", np.nan, {}) if not entry.allows(value)]
    assert values
    for value in values:
        message = f"'{entry.name}' parameter of {cls.__name__} "
        with pytest.raises(InvalidParameterError, match=message):
            cls(**{entry.name: value}).fit(X, y)


def test_augmenter_has_a_constraint_for_each_parameter():
    constraints = ImageAugmenter._parameter_constraints
    assert list(constraints) == list(inspect.signature(ImageAugmenter).parameters)


# ---- parameters that a fit makes no use of -----------------------------------------------

# Other values than the default, where none of `OTHERS` is one.
VALUES = {"activation": "tanh", "learning_rate": "cosine", "batch_size": 10}
VALUES |= {"augment": ImageAugmenter((1, 7), shift=3.0), "scoring": "loss", "power_t": 3.0}
OTHERS = (0.4, 3, True, False)
# Fits that differ in the parameters which conditions ask for.
FITS = {
    "adam": dict(solver="adam"),
    "sgd": dict(solver="sgd", learning_rate_init=0.1),
    "invscaling": dict(solver="sgd", learning_rate="invscaling", learning_rate_init=0.1),
    "rmsprop": dict(solver="rmsprop"),
    "lbfgs": dict(solver="lbfgs"),
    "stopping": dict(solver="adam", early_stopping=True),
    "lbfgs stopping": dict(solver="lbfgs", early_stopping=True),
    "batch norm": dict(solver="adam", batch_norm=True),
    "linear": dict(solver="adam", hidden_layer_sizes=()),
    "hinge": dict(loss="hinge"),
    "huber": dict(loss="huber"),
    "quantile": dict(loss="quantile"),
}
CONDITIONAL = [
    (cls, entry)
    for cls in ESTIMATORS
    for entry in parameters_of(cls.__name__).values()
    if entry.used_with is not None
]


def fits_of(cls, entry):
    """The fits that can show whether a class makes use of a parameter, with and without X_val."""
    losses = parameters_of(cls.__name__)["loss"]
    for fit, params in FITS.items():
        is_fit_of_class = "loss" not in params or losses.allows(params["loss"])
        # lbfgs does not ignore it, but refuses it.
        is_refused = entry.name == "batch_norm" and params.get("solver") == "lbfgs"
        if entry.name not in params and is_fit_of_class and not is_refused:
            yield from ((fit, False), (fit, True))


def another_value(entry):
    values = [value for value in OTHERS if entry.allows(value) and value != entry.default]
    return VALUES.get(entry.name, values[0] if values else None)


def model_of(cls, fit, **params):
    small = dict(hidden_layer_sizes=(5,), max_iter=12, n_iter_no_change=5, random_state=0)
    return cls(**small | {"tol": 1e-3, "batch_size": 19} | FITS[fit] | params)


def trained(model, validated):
    """What a fit comes to, all in one vector."""
    X, y = make_problem("binary", n_samples=76)
    given = {"X_val": X[57:], "y_val": y[57:]} if validated else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", AdviceWarning)
        model.fit(X[:57], y[:57], **given)
    scores = model.validation_scores_ or []
    weights = [coef.ravel() for coef in [*model.coefs_, *model.intercepts_]]
    return np.concatenate([*weights, model.loss_curve_, scores])


@cache
def trained_with_defaults(cls, fit, validated):
    return trained(model_of(cls, fit), validated)


@pytest.mark.parametrize("cls, entry", CONDITIONAL, **ids)
def test_used_with_is_true(cls, entry):
    """A parameter changes nothing where it is not used, and something in a fit where it is."""
    has_effect = set()
    for fit, validated in fits_of(cls, entry):
        model = model_of(cls, fit, **{entry.name: another_value(entry)})
        is_used = entry.used_with.is_met(model, validated)
        result, usual = trained(model, validated), trained_with_defaults(cls, fit, validated)
        is_same = np.array_equal(result, usual, equal_nan=True)
        assert is_used or is_same, (fit, validated)
        has_effect.add(is_used and not is_same)
    assert has_effect == {False, True}


def test_conditions_are_those_of_the_advice():
    assert {entry.name: entry.used_with for _, entry in CONDITIONAL} == USED_WITH


# ---- configuration -----------------------------------------------------------------------

SETTINGS = {entry.name: entry for entry in TABLE if entry.setting is not None}


@pytest.mark.parametrize("configure", [fastnn.set_config, fastnn.config_context])
def test_settings_are_those_of_the_table(configure):
    arguments = inspect.signature(configure).parameters
    assert list(arguments) == sorted(SETTINGS)
    assert {argument.default for argument in arguments.values()} == {None}
    found = documented(configure)
    for name in ("device", "dtype"):
        assert found[name][0] == SETTINGS[name].type.removesuffix(" or None")


def test_initial_settings():
    assert fastnn.get_config() == {name: entry.setting for name, entry in SETTINGS.items()}


# ---- the README --------------------------------------------------------------------------


def test_every_parameter_of_our_own_is_in_the_readmes_list():
    names = re.findall(r"^- `(\w+)=", parameter_list.markdown(), flags=re.MULTILINE)
    assert names == [entry.name for entry in TABLE if entry.is_own]
    assert max(map(len, parameter_list.markdown().splitlines())) <= 100


@pytest.mark.skipif(not README.exists(), reason="an installed package has no README")
def test_readme_has_the_list():
    """`python -m fastnn.tools.parameter_list --write README.md` puts it there."""
    assert sections.sections_of(README)["parameters"] == parameter_list.markdown() + "\n"


def test_sections_are_replaced(tmp_path):
    path = tmp_path / "page.md"
    page = (
        "a\n<!-- one: begin -->\n{}<!-- one: end -->\nb\n<!-- two: begin -->\n<!-- two: end -->\n"
    )
    path.write_text(page.format("old\nolder\n"))
    sections.write(path, {"one": "new", "three": "3"})
    assert path.read_text() == page.format("new\n")
    with pytest.raises(SystemExit, match="no markers of three"):
        sections.write(path, {"three": "3"})
