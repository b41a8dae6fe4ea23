"""The README's list of parameters, and values of parameters, that scikit-learn's do not have.

    python -m fastnn.tools.parameter_list                     # print it
    python -m fastnn.tools.parameter_list --write README.md   # put it between the file's markers

It is made of the table of parameters, `fastnn.estimators.parameter_table`.
"""

import argparse
from pathlib import Path
from textwrap import TextWrapper

from fastnn.estimators.parameter_table import TABLE
from fastnn.estimators.parameter_table.parameter import CLASSIFIER, REGRESSOR
from fastnn.tools import sections

NAME = "parameters"
# The list has the parameters of both estimators first, and then those that only one of them has.
OWNERS = {
    (CLASSIFIER, REGRESSOR): "",
    (CLASSIFIER,): ", of the classifier",
    (REGRESSOR,): ", of the regressor",
}


def _line(entry):
    default = f"={entry.default!r}".replace("'", '"') if entry.is_own else ""
    return f"`{entry.name}{default}`{OWNERS[entry.estimators]}: {entry.summary}"


def markdown():
    """The list as Markdown."""
    wrap = TextWrapper(
        100,
        initial_indent="- ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(
        wrap.fill(_line(entry))
        for estimators in OWNERS
        for entry in TABLE
        if entry.estimators == estimators and entry.summary
    )


def main():
    parser = argparse.ArgumentParser(description="The README's list of parameters.")
    parser.add_argument("--write", type=Path, metavar="PATH", help="a file with the markers")
    path = parser.parse_args().write
    if path is None:
        print(markdown())
    else:
        sections.write(path, {NAME: markdown()})


if __name__ == "__main__":
    main()
