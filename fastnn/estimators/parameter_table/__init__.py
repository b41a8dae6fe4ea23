"""The one table of the estimators' parameters.

A parameter is one entry here: its name, default and constraint, its texts, and when a fit makes use
of it. The constraints of the estimators, their docstrings, the warnings of parameters without an
effect, what can be configured and the README's list are made of it. The constructors are written
out, as scikit-learn wants them; a test compares them with the table.

To add a parameter, add its entry to ``own`` and its argument to the constructors, in the same
place; `python -m fastnn.tools.parameter_list --write README.md` puts it into the README.
"""

from fastnn.estimators.parameter_table.own import OWN
from fastnn.estimators.parameter_table.perceptrons import PERCEPTRONS
from fastnn.estimators.parameter_table.scikit_learns import SCIKIT_LEARNS

TABLE = (*SCIKIT_LEARNS, *OWN, *PERCEPTRONS)


def parameters_of(estimator):
    """The parameters of the class of that name, by their names, in the constructor's order."""
    return {entry.name: entry for entry in TABLE if estimator in entry.estimators}


def constraints_of(estimator):
    """The ``_parameter_constraints`` of the class of that name."""
    return {name: entry.constraint for name, entry in parameters_of(estimator).items()}
