"""How scikit-learn and fastnn answer a case of `odd_inputs`, and where the answers differ."""

import re
import sys
import traceback
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils._param_validation import InvalidParameterError

import fastnn
from common import has_sklearn
from fastnn.exceptions import AdviceWarning
from odd_inputs import make_case

THEIRS = {"classifier": MLPClassifier, "regressor": MLPRegressor}
OURS = {"classifier": fastnn.MLPClassifier, "regressor": fastnn.MLPRegressor}
# The exceptions that a user catches by name, special ones first.
EXCEPTIONS = (
    NotFittedError, InvalidParameterError, AttributeError, TypeError, ValueError, ZeroDivisionError,
    OverflowError, MemoryError, LookupError,
)  # fmt: skip
ATTRIBUTES = (
    "n_features_in_", "feature_names_in_", "n_layers_", "n_outputs_", "out_activation_", "n_iter_",
    "t_", "loss_", "loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_",
    "classes_", "coefs_", "intercepts_",
)  # fmt: skip
FLOATS = (np.float32, np.float64, np.longdouble)


@dataclass
class Answer:
    """The outcome of a call."""

    method: str
    error: Exception | None = None
    result: Any = None
    warnings: list = field(default_factory=list)
    attributes: dict = field(default_factory=dict)
    draws: Any = None


@dataclass
class Difference:
    """One thing in which two answers to a call differ."""

    call: Any
    what: str
    theirs: Any
    ours: Any

    def __str__(self):
        return (
            f"  {self.call.method} {self.call.odd}: {self.what}\n"
            f"    scikit-learn: {self.theirs!r}\n    fastnn:       {self.ours!r}"
        )


# ---- answers ---------------------------------------------------------------------------


def answers(estimators, number, change=None):
    """The answers to the calls of a case, up to the first training that fails."""
    case = make_case(number)
    if change is not None:
        change(case)
    np.random.seed(number % 2**32)
    estimator = estimators[case.kind](**case.parameters)
    found = []
    for call in case.calls:
        found.append(answer(estimator, call, case.parameters.get("random_state")))
        if found[-1].error is not None and "fit" in call.method:
            break
    return found


def answer(estimator, call, random_state):
    """Make one call and return its outcome."""
    found = Answer(call.method)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found.result = getattr(estimator, call.method)(**call.arguments)
        except Exception as error:
            found.error = error
    found.warnings = [(w.category, str(w.message)) for w in caught]
    if found.error is None and "fit" in call.method:
        found.result = None
        found.attributes = {n: v for n in ATTRIBUTES if (v := _copy_of(estimator, n)) is not None}
        if random_state is None or isinstance(random_state, np.random.RandomState):
            source = np.random if random_state is None else random_state
            found.draws = source.get_state()[1:3]
    return found


def _copy_of(estimator, name):
    value = getattr(estimator, name, None)
    return [np.copy(v) for v in value] if isinstance(value, list) else value


# ---- differences -----------------------------------------------------------------------


def differences(number):
    """The `Difference`s between scikit-learn's and fastnn's answers to a case."""
    theirs, ours = answers(THEIRS, number), answers(OURS, number)
    found = compare(number, theirs, ours)
    if any(difference.what.startswith("value") for difference in found):
        # Where rounding decides, there is no right value: how far do scikit-learn's own move?
        moved = [answers(_moved(seed), number, in_the_last_place(seed)) for seed in range(4)]
        found = compare(number, theirs, ours, moved)
    return found


def _in_the_last_place(values, rng):
    """Numbers with the rounding errors of another order of the same operations."""
    precision = values.dtype if values.dtype in FLOATS else np.dtype(np.float64)
    step = 2 * np.finfo(precision).eps * rng.choice([-1, 1], values.shape)
    return np.multiply(values, 1 + step.astype(precision))


def _moved(seed):
    """scikit-learn's estimators with initial weights that differ in the last place."""
    rng = np.random.default_rng(seed)

    def initial(estimator, *sizes):
        found = super(type(estimator), estimator)._init_coef(*sizes)
        return tuple(_in_the_last_place(values, rng) for values in found)

    return {k: type(c.__name__, (c,), {"_init_coef": initial}) for k, c in THEIRS.items()}


def in_the_last_place(seed):
    """A change to the numbers of a case by what rounding changes."""

    def change(case):
        rng = np.random.default_rng(seed)
        for call in case.calls:
            for name in ("X", "y", "sample_weight"):
                value = call.arguments.get(name)
                if sparse.issparse(value) and value.format in ("csr", "csc", "coo"):
                    value.data = _in_the_last_place(value.data, rng)
                elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
                    if name != "y" or case.kind == "regressor":
                        call.arguments[name] = _in_the_last_place(value, rng)
                elif isinstance(value, np.ndarray) and value.dtype.kind in "iu" and name == "X":
                    call.arguments[name] = _in_the_last_place(value, rng)

    return change


def compare(number, theirs, ours, moved=()):
    """All differences between two lists of answers."""
    case = make_case(number)
    relative = 1e-3 if is_single(case, theirs) else 1e-7
    found = []
    for i, (call, their, our) in enumerate(zip(case.calls, theirs, ours, strict=False)):
        others = [m[i] for m in moved if len(m) > i and m[i].error is None]
        found += compare_call(call, their, our, others, relative)
        if (their.error is None) != (our.error is None) and "fit" in call.method:
            break
    return found


def is_single(case, theirs):
    """Whether scikit-learn computes something in float32."""
    weights = [call.arguments.get("sample_weight") for call in case.calls]
    weights += [coef for found in theirs for coef in found.attributes.get("coefs_", ())]
    numbers = [*case.parameters.values(), *weights]
    return any(getattr(number, "dtype", None) == np.float32 for number in numbers)


def compare_call(call, theirs, ours, moved, relative):
    if theirs.error is not None or ours.error is not None:
        found = compare_errors(theirs.error, ours.error)
    else:
        results = [m.result for m in moved]
        found = compare_values("value", theirs.result, ours.result, results, relative)
        for name, value in theirs.attributes.items():
            others = [m.attributes.get(name) for m in moved]
            found += compare_values(
                f"value of {name}", value, ours.attributes.get(name), others, relative
            )
        if repr(theirs.draws) != repr(ours.draws):
            found.append(("numbers drawn", theirs.draws, ours.draws))
        found += compare_warnings(theirs.warnings, ours.warnings)
    return [Difference(call, *difference) for difference in found]


def exception_type(error):
    """The type that a user would catch."""
    return next((cls for cls in EXCEPTIONS if isinstance(error, cls)), type(error))


def compare_errors(theirs, ours):
    if theirs is None or ours is None or exception_type(theirs) is not exception_type(ours):
        return [("error", theirs, ours)]
    # Only where scikit-learn itself raises the error has it chosen the words.
    if is_deliberate(theirs) and not same_words(str(theirs), str(ours)):
        return [("message", theirs, ours)]
    return []


def is_deliberate(error):
    """Whether scikit-learn raised an error by a statement, and not an operation that failed."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return "sklearn" in place.filename and place.line.startswith("raise")


def same_words(theirs, ours):
    """Whether a message begins as scikit-learn's does, whatever it goes on to say."""
    theirs, ours = (" ".join(re.sub("0x[0-9A-Fa-f]+", "", s).split()) for s in (theirs, ours))
    return ours.startswith(theirs.rstrip("."))


def compare_warnings(theirs, ours):
    """Warnings that only one gives; NumPy's and SciPy's, and advice, are no part of an answer."""

    def of_note(given):
        return {
            (category.__name__, words(text))
            for category, text in given
            if not issubclass(category, (RuntimeWarning, DeprecationWarning, AdviceWarning))
        }

    def words(text):
        # Older versions go on otherwise.
        beginning = "lbfgs failed to converge"
        if text.startswith(beginning) and not has_sklearn("1.9"):
            return beginning
        return " ".join(text.split())

    theirs, ours = of_note(theirs), of_note(ours)
    return [("warning", theirs - ours, ours - theirs)] if theirs != ours else []


def compare_values(what, theirs, ours, moved, relative):
    """The difference of two results, or of two lists of results, in a list; or an empty list.

    ``moved`` has scikit-learn's own results where rounding errors differ.
    """
    if theirs is None and ours is None:
        return []
    if isinstance(theirs, list):
        if len(theirs) != len(ours):
            return [(f"length of {what}", len(theirs), len(ours))]
        moved = [m for m in moved if m is not None and len(m) == len(theirs)]
        found = []
        for i, pair in enumerate(zip(theirs, ours, strict=True)):
            found += compare_values(what, *pair, [m[i] for m in moved], relative)
        return found[:1]
    if sparse.issparse(theirs) or sparse.issparse(ours):
        if type(theirs) is not type(ours):
            return [(f"kind of {what}", type(theirs), type(ours))]
        theirs, ours, *moved = (a.toarray() for a in (theirs, ours, *moved))
    if isinstance(theirs, np.ndarray) and theirs.ndim > 0:
        kinds = [(type(a).__name__, str(a.dtype), a.shape) for a in (theirs, ours)]
        if kinds[0] != kinds[1]:
            return [(f"kind of {what}", *kinds)]
    return [] if are_close(theirs, ours, moved, relative) else [(what, theirs, ours)]


def are_close(theirs, ours, moved, relative):
    """Whether values agree, but for rounding and what scikit-learn's own move by rounding."""
    theirs, ours, *moved = (np.asarray(a) for a in (theirs, ours, *moved))
    if theirs.dtype.kind not in "fiu" or ours.dtype.kind not in "fiu":
        return np.array_equal(theirs, ours) or any(not np.array_equal(theirs, m) for m in moved)
    theirs, ours, *moved = (a.astype(np.longdouble) for a in (theirs, ours, *moved))
    with np.errstate(all="ignore"):
        scale = np.max(np.abs(theirs), initial=0.0, where=np.isfinite(theirs))
        allowed = relative * scale
        for m in moved:
            if m.shape == theirs.shape:
                # Not a number once, and once a number: rounding decides even this.
                far = np.where(np.isnan(m) == np.isnan(theirs), np.abs(m - theirs), np.inf)
                allowed = allowed + 100 * np.nan_to_num(far, nan=0.0, posinf=np.inf)
        close = (np.abs(theirs - ours) <= allowed) | (theirs == ours)
    return bool(np.all(close | (np.isnan(theirs) & np.isnan(ours)) | np.isinf(allowed)))


if __name__ == "__main__":
    number = int(sys.argv[1])
    print(make_case(number))
    for name, value in vars(make_case(number)).items():
        print(name, value)
    for estimators in (THEIRS, OURS):
        for found in answers(estimators, number):
            print(found)
    for found in differences(number):
        print(found)
