"""Odd problems by number: estimators, parameters, data and calls that few people try.

`make_case(number)` is the same case whenever and wherever it is called, and makes its data
anew, so that two estimators can be given equal ones that they do not share.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from common import has_sklearn
from odd_forms import (
    DENSE,
    FORMS_OF_WEIGHT,
    FORMS_OF_X,
    FRAMES,
    ODD_PARAMETERS,
    ORDINARY,
    SHAPES,
    SPARSE,
    VALUES,
    random_state_of,
    sizes,
)
from odd_targets import (
    FORMS_OF_CLASSES,
    FORMS_OF_NUMBERS,
    ORDINARY_CLASSES,
    ORDINARY_NUMBERS,
    words,
)

HAS_WEIGHTS = has_sklearn("1.7")


@dataclass
class Call:
    """A method and its arguments by name; ``odd`` names those that are unusual."""

    method: str
    arguments: dict
    odd: dict = field(default_factory=dict)


@dataclass
class Case:
    """Estimators' kind and parameters, the calls to make, and in what they may be odd."""

    number: int
    kind: str
    parameters: dict
    calls: list
    odd: set

    def __str__(self):
        lines = [f"case {self.number}: MLP{self.kind.capitalize()}(**{self.parameters!r})"]
        lines += [f"  {call.method}: {call.odd}" for call in self.calls]
        return "\n".join(lines)


# ---- cases -----------------------------------------------------------------------------


def pick(rng, options):
    """One of a list, or a name and value of a dict."""
    options = list(options.items()) if isinstance(options, dict) else options
    return options[rng.integers(len(options))]


class Maker:
    """Draws a case. What is odd in it is drawn first, so that most of a case is ordinary."""

    def __init__(self, number):
        self.rng = np.random.default_rng([20, number])
        self.number = number
        self.kind = pick(self.rng, ["classifier", "regressor"])
        kinds = ["X", "values", "shape", "y", "weight", "parameters", "predicted", "classes"]
        if not HAS_WEIGHTS:
            kinds.remove("weight")
        if self.kind == "regressor":
            kinds.remove("classes")
        n_odd = self.rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15])
        self.odd = set(self.rng.choice(kinds, n_odd, replace=False).tolist())
        self.n, self.p = int(self.rng.integers(9, 16)), int(self.rng.integers(1, 5))
        self.form = pick(self.rng, {**ORDINARY, "float64 ": ORDINARY["float64"]})
        ordinary = ORDINARY_CLASSES if self.kind == "classifier" else ORDINARY_NUMBERS
        self.form_of_y = pick(self.rng, ordinary)

    def case(self):
        parameters = self.parameters()
        calls = self.calls(parameters)
        return Case(self.number, self.kind, parameters, calls, self.odd)

    def parameters(self):
        rng = self.rng
        parameters = {
            "hidden_layer_sizes": pick(rng, [(3,), (4, 2), 3]),
            "solver": str(pick(rng, ["sgd", "adam", "adam", "lbfgs"])),
            "activation": str(pick(rng, ["relu", "tanh", "relu"])),
            "max_iter": int(rng.integers(2, 5)),
            "batch_size": pick(rng, ["auto", 4, 5]),
            "random_state": int(rng.integers(100)),
            "early_stopping": bool(rng.random() < 0.15),
            "warm_start": bool(rng.random() < 0.3),
            "learning_rate_init": pick(rng, [0.001, 0.02]),
        }
        if parameters["early_stopping"]:
            parameters["validation_fraction"] = 0.3
        if HAS_WEIGHTS and self.kind == "regressor" and rng.random() < 0.25:
            parameters["loss"] = "poisson"
        if "parameters" in self.odd:
            for _ in range(rng.integers(1, 4)):
                name = pick(rng, [*ODD_PARAMETERS, "hidden_layer_sizes", "hidden_layer_sizes"])
                if name == "loss" and (self.kind == "classifier" or not HAS_WEIGHTS):
                    continue
                parameters[name] = (
                    pick(rng, sizes())[1]
                    if name == "hidden_layer_sizes"
                    else random_state_of(pick(rng, ODD_PARAMETERS[name]))
                )
        return parameters

    def calls(self, parameters):
        rng = self.rng
        plan = pick(
            rng,
            [
                ["fit"],
                ["fit"],
                ["fit", "fit"],
                ["partial_fit"] * 3,
                ["fit", "partial_fit"],
                ["partial_fit", "fit"],
            ],
        )
        odd_one = rng.integers(len(plan))
        calls = []
        for i, method in enumerate(plan):
            calls.append(self.training(method, is_odd=i == odd_one, is_first=i == 0, calls=calls))
            if i < len(plan) - 1 and rng.random() < 0.3:
                calls.append(self.prediction("predict", is_odd=False))
        methods = ["predict", "score"]
        if self.kind == "classifier":
            methods += ["predict_proba", "predict_log_proba"]
        return calls + [self.prediction(method) for method in methods]

    def samples(self, is_odd=True, n=None, form=None, odd=None):
        """An X, and what is odd about it."""
        rng = self.rng
        odd = {} if odd is None else odd
        A = rng.standard_normal((n or self.n, self.p))
        if rng.random() < 0.3:
            A *= rng.random(A.shape) < 0.6
        name, form = form or self.form
        if is_odd and "shape" in self.odd:
            odd["shape"], make = pick(rng, SHAPES)
            A = make(A)
        if is_odd and "values" in self.odd and A.size:
            odd["values"], make = pick(rng, VALUES)
            A = make(A)
        odd["X"] = name
        return self.formed(A, form, odd, "X")

    def formed(self, values, form, odd, what):
        """The values in a form; as they are where it cannot hold them, such as inf as int."""
        try:
            with np.errstate(all="ignore"):
                return form(values)
        except (IndexError, KeyError, OverflowError, TypeError, ValueError):
            odd[what] = "float64"
            return values

    def training(self, method, is_odd, is_first, calls):
        rng, odd = self.rng, {}
        form = self.form
        if is_odd and "X" in self.odd:
            table = [DENSE, FRAMES, SPARSE][rng.integers(3)]
            form = pick(rng, table)
        rows = {"one row": 1, "two rows": 2, "no rows": 0}
        X = self.samples(is_odd, form=form, odd=odd)
        n = rows.get(odd.get("shape"), self.n)
        arguments = {"X": X, "y": self.target(n, is_odd and "y" in self.odd, odd)}
        if HAS_WEIGHTS and (is_odd and "weight" in self.odd):
            weights = rng.uniform(0.2, 3.0, n)
            odd["weight"], form = pick(rng, FORMS_OF_WEIGHT)
            arguments["sample_weight"] = self.formed(weights, form, odd, "weight")
        elif HAS_WEIGHTS and rng.random() < 0.15:
            arguments["sample_weight"] = rng.uniform(0.2, 3.0, n)
        if method == "partial_fit" and self.kind == "classifier":
            self.classes(arguments, is_first, is_odd and "classes" in self.odd, odd)
        return Call(method, arguments, odd)

    def target(self, n, is_odd, odd):
        rng = self.rng
        if self.kind == "classifier":
            table, base = FORMS_OF_CLASSES, rng.permutation(np.arange(n) % 3)
        else:
            table, base = FORMS_OF_NUMBERS, rng.gamma(2.0, size=n) - (rng.random() < 0.3)
        name, form = pick(rng, table) if is_odd else self.form_of_y
        odd["y"] = name
        return self.formed(base, form, odd, "y")

    def classes(self, arguments, is_first, is_odd, odd):
        """The classes that partial_fit is told, right ones unless they are to be odd."""
        rng = self.rng
        name = self.form_of_y[0]
        known = {"words": words(np.arange(3)), "two of int64": np.arange(2)}.get(name, np.arange(3))
        ways = {
            "left out": lambda: None,
            "reversed": lambda: known[::-1],
            "repeated": lambda: np.r_[known, known],
            "more": lambda: np.append(known, words(3) if name == "words" else 7),
            "fewer": lambda: known[:-1],
            "floats": lambda: np.arange(3.0),
            "halves": lambda: np.arange(3) / 2,
            "words": lambda: words(np.arange(3)),
            "list": lambda: known.tolist(),
            "tuple": lambda: tuple(known.tolist()),
            "range": lambda: range(3),
            "objects": lambda: known.astype(object),
            "Series": lambda: pd.Series(known),
            "column": lambda: known[:, None],
            "matrix of an indicator": lambda: np.eye(3, dtype=int),
            "one": lambda: known[:1],
            "number": lambda: 3,
            "NaN": lambda: [0.0, 1.0, np.nan],
            "bool": lambda: [False, True],
            "none": lambda: [],
        }
        if is_odd:
            odd["classes"], make = pick(rng, ways)
            arguments["classes"] = make()
        elif is_first or rng.random() < 0.3:
            arguments["classes"] = known

    def prediction(self, method, is_odd=True):
        rng, odd = self.rng, {}
        form = self.form
        is_odd = is_odd and "predicted" in self.odd and rng.random() < 0.7
        if is_odd:
            form = pick(rng, {**FORMS_OF_X, **ORDINARY})
        n = int(rng.choice([1, 2, 3, 7]))
        X = self.samples(is_odd and rng.random() < 0.5, n=n, form=form, odd=odd)
        if method != "score":
            return Call(method, {"X": X}, odd)
        arguments = {"X": X, "y": self.target(n, False, odd)}
        if HAS_WEIGHTS and rng.random() < 0.2:
            arguments["sample_weight"] = rng.uniform(0.2, 3.0, n)
        return Call(method, arguments, odd)


def make_case(number):
    """The case of that number, with data of its own."""
    return Maker(number).case()
