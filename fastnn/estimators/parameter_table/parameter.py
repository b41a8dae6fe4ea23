"""The class of the table's entries, and the conditions that several of them share."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from textwrap import TextWrapper
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils._param_validation import make_constraint

CLASSIFIER, REGRESSOR, PERCEPTRON = "MLPClassifier", "MLPRegressor", "Perceptron"


class Use(NamedTuple):
    """When a fit makes use of a parameter.

    Parameters
    ----------
    words : str
        The condition, for the warning that the parameter "is only used with".
    is_met : callable
        ``is_met(model, has_validation)`` tells whether it holds for a fit of the estimator;
        has_validation says whether the user gives a validation set.
    """

    words: str
    is_met: Callable


@dataclass(frozen=True, eq=False, repr=False)
class Parameter:
    """A parameter of an estimator.

    Parameters
    ----------
    name : str
        The name in the constructor. Where two estimators have different parameters of one name,
        such as ``loss``, these are two entries.
    type : str
        The type as the docstring says it.
    default : object
        The default in the constructor.
    constraint : list
        The values that are allowed, as scikit-learn's ``_parameter_constraints`` say it.
    doc : str
        The text of the docstring, indented by four spaces. Names in braces stand for what differs
        between the estimators; `fill_docstring` takes it from their modules.
    estimators : tuple of str
        The names of the classes that have it.
    is_own : bool
        Whether it is fastnn's; else it is scikit-learn's.
    used_with : Use or None
        When a fit makes use of it; None if every fit does.
    summary : str
        The text of the README's list, for a parameter of our own, or one with values of our own.
    default_text : str
        How the docstring writes the default, if not as ``repr`` does.
    setting : object
        What `get_config` says of it at the start, if it can be configured; else None.
    changes_steps : bool
        Whether a training goes on with other steps in scikit-learn's estimator, which lacks the
        parameter or its value.
    """

    name: str
    _: KW_ONLY
    type: str
    default: Any
    constraint: list
    doc: str
    estimators: tuple[str, ...] = (CLASSIFIER, REGRESSOR)
    is_own: bool = False
    used_with: Use | None = None
    summary: str = ""
    default_text: str = ""
    setting: Any = None
    changes_steps: bool = True

    @property
    def docstring(self):
        """What the docstring of an estimator says of it, as numpydoc wants it."""
        default = self.default_text or repr(self.default)
        return f"{self.name} : {self.type}, default={default}\n    {self.doc.strip()}"

    def allows(self, value):
        """Whether the constraint is satisfied by a value."""
        return any(make_constraint(part).is_satisfied_by(value) for part in self.constraint)


def has_hidden_layers(model):
    """Whether the network is to have hidden layers."""
    return np.size(model.hidden_layer_sizes) > 0


def splits_off(model):
    """Whether a fit without a validation set of the user's splits one off."""
    return model.early_stopping and model.solver != "lbfgs"


STOCHASTIC = Use("a solver other than 'lbfgs'", lambda model, _: model.solver != "lbfgs")
HIDDEN_LAYERS = Use("hidden layers", lambda model, _: has_hidden_layers(model))


def one_of(names):
    """The type of a parameter that has one of these values, in the words of a docstring."""
    return f"{{{', '.join(map(repr, names))}}}"


def list_of(registry, names=None):
    """A line of a docstring's list for each entry of a registry, the first without indentation."""
    wrap = TextWrapper(
        96, initial_indent="    - ", subsequent_indent="      ", break_on_hyphens=False
    )
    names = registry if names is None else names
    lines = [wrap.fill(f"'{name}', {registry[name].summary}") for name in names]
    return "\n".join(lines).lstrip()


def in_words(names):
    """An enumeration of names for the README."""
    *first, last = (f"`{name}`" for name in names)
    return f"{', '.join(first)} and {last}" if first else last
