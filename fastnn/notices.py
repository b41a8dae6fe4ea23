"""How warnings reach the user: which category they have, and which line they point at."""

import warnings

from fastnn.exceptions import AdviceWarning


def warn(message, category=UserWarning):
    """Give a warning that scikit-learn gives, too."""
    warnings.warn(message, category, stacklevel=3)


def advise(message):
    """Give a warning that scikit-learn does not give."""
    warnings.warn(message, AdviceWarning, stacklevel=3)
