"""On odd input, fastnn answers as scikit-learn does, but for what README says.

`python tests/test_odd_inputs.py NUMBER` shows the case of that number and both answers to it.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common import has_sklearn
from odd_comparison import OURS, THEIRS, answers, differences, is_deliberate, is_single
from odd_inputs import make_case

README = Path(__file__).parent.parent / "README.md"


@dataclass
class Known:
    """A difference that README tells of, and when it is one.

    Parameters
    ----------
    readme : str
        Words of README.
    applies : callable
        Of a case and a difference.
    since : str
        The oldest scikit-learn that has it.
    """

    readme: str
    applies: Any
    since: str = "1.6"


def trains(difference):
    return "fit" in difference.call.method


def refuses(difference, words):
    """Whether only fastnn raises an error, with these words in it."""
    return difference.theirs is None and re.search(words, str(difference.ours)) is not None


def solver(case):
    return str(case.parameters["solver"])


def weight(difference):
    return difference.call.odd.get("weight")


def advises(case, difference):
    words = "no effect|not scaled|constant|outliers|never a number|unscaled|columns"
    ours = difference.ours if difference.what == "warning" else ()
    return bool(ours) and not difference.theirs and all(re.search(words, t) for _, t in ours)


def is_in_single(case, difference):
    return is_single(case, answers(THEIRS, case.number))


def overflows(case, difference):
    """Whether scikit-learn's loss does."""
    curves = [found.attributes.get("loss_curve_", []) for found in answers(THEIRS, case.number)]
    huge = difference.call.odd.get("values", "") in ("1e300", "one 1e300", "1e150", "1e30")
    return huge or any(np.isinf(loss) for curve in curves for loss in curve)


def is_of_longdouble(difference):
    return "longdouble" in difference.call.odd["X"] + difference.call.odd.get("y", "")


def both_refuse(difference):
    return difference.what in ("error", "message") and None not in (
        difference.theirs,
        difference.ours,
    )


KNOWN = [
    # The advice on parameters that do nothing, and on scales.
    Known("is ignored in silence; here a warning says so, once a fit", advises),
    Known(
        "`learning_rate` counts with adam, too",
        lambda case, d: (
            solver(case) == "adam"
            and case.parameters.get("learning_rate", "constant") != "constant"
        ),
    ),
    Known(
        '`loss="poisson"` takes a negative `y`; here it is a `ValueError`',
        lambda case, d: isinstance(d.ours, ValueError) and "requires y >= 0" in str(d.ours),
        since="1.7",
    ),
    Known(
        "where a prediction underflows to 0, the loss is infinite there",
        lambda case, d: (
            case.parameters.get("loss") == "poisson" and "value" in d.what and overflows(case, d)
        ),
        since="1.7",
    ),
    Known(
        "A mini-batch whose sample weights sum to zero stops the fit with a `ZeroDivisionError`",
        lambda case, d: isinstance(d.theirs, ZeroDivisionError),
        since="1.7",
    ),
    Known(
        "lbfgs ignores `early_stopping`",
        lambda case, d: solver(case) == "lbfgs" and case.parameters["early_stopping"],
    ),
    Known(
        "A second fit with `warm_start=True` and early stopping overwrites the weights",
        lambda case, d: case.parameters["warm_start"] and case.parameters["early_stopping"],
    ),
    Known(
        "Training that diverges under early stopping goes on to `max_iter`",
        lambda case, d: (
            case.parameters["early_stopping"]
            and (re.search("n_iter_|t_|loss_|scores_", d.what) or "diverged" in str(d.ours))
        ),
    ),
    Known(
        "one column becomes the target of all outputs, and `n_outputs_` stays",
        lambda case, d: d.what == "value of n_outputs_" and d.theirs == 1,
    ),
    Known(
        "with lbfgs, which takes the weights apart for it, it is an error here",
        lambda case, d: refuses(d, "y needs 1 outputs") and solver(case) == "lbfgs",
    ),
    Known(
        "A `sample_weight` that is a number may be NaN or infinite there",
        lambda case, d: weight(d) in ("NaN", "inf") and refuses(d, "Input sample_weight contains"),
        since="1.7",
    ),
    # To be mended: the sum of the weights has no reciprocal.
    Known(
        "",
        lambda case, d: weight(d) in ("1e-310", "1e-323") and trains(d),
        since="1.7",
    ),
    # To be mended: predictions in the precision of the data and the weights together.
    Known(
        "a model in float32 that predicts float64 data returns float64 there",
        lambda case, d: not trains(d) and "value" in d.what and is_in_single(case, d),
    ),
    Known(
        "Numbers in longdouble are float64 here",
        lambda case, d: is_of_longdouble(d) and ("kind" in d.what or "xlogy" in str(d.theirs)),
    ),
    Known(
        "Data in float32 are trained on in float32, and by lbfgs in float64",
        lambda case, d: trains(d) and (is_in_single(case, d) or "float32" in d.call.odd["X"]),
    ),
    Known(
        "an error comes before training and says why; its type may be another",
        lambda case, d: (
            both_refuse(d)
            and (
                not is_deliberate(d.theirs)
                or "non-finite parameter weights" in str(d.theirs)
                or len(case.odd) > 1
            )
        ),
    ),
    # An InvalidParameterError lists what is allowed.
    Known(
        "What scikit-learn's does not have",
        lambda case, d: d.what == "message" and "parameter of" in str(d.theirs),
    ),
]
KNOWN = [known for known in KNOWN if has_sklearn(known.since)]


def unknown_differences(numbers):
    """What to say of the differences that are not known, and the known that were found."""
    told, used = [], []
    for number in numbers:
        case = make_case(number)
        for difference in differences(number):
            known = next((k for k in KNOWN if k.applies(case, difference)), None)
            if known is None:
                told.append(f"{case}\n{difference}")
            else:
                used.append(known)
    return told, used


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_odd_input():
    told, _ = unknown_differences(range(200))
    assert not told, "\n\n".join(told)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_more_odd_input():
    """And each difference that is known is one indeed."""
    told, used = unknown_differences(range(200, 2200))
    assert not told, "\n\n".join(told)
    assert [known.readme for known in KNOWN if known not in used] == []


def test_readme_tells_of_known_differences():
    readme = " ".join(README.read_text().split())
    for known in KNOWN:
        assert known.readme in readme


def test_cases_are_the_same_every_time():
    for number in range(30):
        assert str(make_case(number)) == str(make_case(number))


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
