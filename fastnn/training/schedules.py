"""Learning-rate schedules: the rate of every step, or of every epoch."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MIN_ADAPTIVE_RATE = 1e-6
# Smith and Topin's one-cycle policy with PyTorch's defaults: the part of the training in which the
# rate rises, and by what it is divided at the beginning and, from there, in the end.
RISING, FIRST_DIVISOR, LAST_DIVISOR = 0.3, 25.0, 1e4
# So many terms of cos(x) = sum of (-1)**i x**(2 i) / (2 i)! do for x up to pi / 2 in float64.
COSINE_TERMS = 14


def fall(progress):
    """From 1 to 0 along half a cosine, (1 + cos(pi progress)) / 2.

    By sums and products alone, as the libraries' cosines differ between machines.
    """
    # The square of cos(x) with x = pi progress / 2.
    square = (np.pi / 2 * np.asarray(progress)) ** 2
    value = np.zeros_like(square)
    for i in range(COSINE_TERMS, 0, -1):
        value = -square / ((2 * i - 1) * (2 * i)) * (1.0 + value)
    return (1.0 + value) ** 2


def one_cycle(progress):
    """The factor of the one-cycle policy, of the highest rate."""
    first = 1.0 / FIRST_DIVISOR
    last = first / LAST_DIVISOR
    rising = 1.0 + (first - 1.0) * fall(np.minimum(progress / RISING, 1.0))
    falling = last + (1.0 - last) * fall(np.maximum(progress - RISING, 0.0) / (1.0 - RISING))
    return np.where(progress < RISING, rising, falling)


# Schedules that set the rate of every step: factors of the initial rate, of progress in [0, 1].
STEP_SCHEDULES = {"cosine": fall, "one_cycle": one_cycle}
EPOCH_SCHEDULES = ("constant", "invscaling", "adaptive")


def schedule_of(learning_rate, solver):
    """The kind of schedule that a solver follows: scikit-learn's adam ignores the names there."""
    return "constant" if solver == "adam" and learning_rate in EPOCH_SCHEDULES else learning_rate


def schedule_to_go_on_with(learning_rate, solver, optimizer):
    """The kind, initial rate and exponent of the schedule that an optimizer follows.

    As in scikit-learn, a schedule of scikit-learn's belongs to the optimizer that began with it.
    """
    kind = schedule_of(learning_rate, solver)
    if kind in EPOCH_SCHEDULES and optimizer.schedule is not None:
        kind = optimizer.schedule
    return kind, optimizer.initial_rate, optimizer.power_t


def has_planned_end(kind):
    """Whether a schedule is made for all epochs, so that to come to the last is no failure."""
    return callable(kind) or kind in STEP_SCHEDULES


@dataclass(frozen=True)
class Schedule:
    """A learning-rate schedule.

    Parameters
    ----------
    kind : str or callable
        "constant"; "invscaling", which sets the rate to ``rate / (t + 1) ** power_t`` at
        the end of an epoch, t being the samples seen so far; "adaptive", which divides it by 5
        when the epochs stop improving, until it is at most 1e-6; a key of ``STEP_SCHEDULES``;
        or a function of progress in [0, 1] that returns a factor of ``rate``.
    rate : float
        The initial rate.
    power_t : float
        The exponent of "invscaling".
    max_epochs : int
        The epochs in which progress goes from 0 to 1.
    warmup_fraction : float
        The part of these in which the rate rises from 0; the schedule has the rest.
    """

    kind: str | Callable
    rate: float
    power_t: float = 0.5
    max_epochs: int = 200
    warmup_fraction: float = 0.0

    def rates(self, optimizer, epoch, n_batches):
        """Rates of the mini-batches of an epoch, counted from 0; None if all are the optimizer's.

        Raises
        ------
        ValueError
            If the user's function returns anything but a finite number that is not negative.
        """
        if self.kind in EPOCH_SCHEDULES and self.warmup_fraction == 0:
            return None
        steps = self.max_epochs * n_batches
        progress = np.minimum((epoch * n_batches + np.arange(n_batches)) / steps, 1.0)
        rest = np.maximum(progress - self.warmup_fraction, 0.0) / (1.0 - self.warmup_fraction)
        factors = self._factors(rest)
        if self.warmup_fraction > 0:
            # Its first step has a rate already.
            rising = np.minimum((progress + 1.0 / steps) / self.warmup_fraction, 1.0)
            factors = np.where(progress < self.warmup_fraction, rising * factors, factors)
        return optimizer.rate * factors

    def _factors(self, progress):
        if self.kind in EPOCH_SCHEDULES:
            return np.ones_like(progress)
        if not callable(self.kind):
            return STEP_SCHEDULES[self.kind](progress)
        factors = np.array([self.kind(value) for value in progress.tolist()], dtype=np.float64)
        if not np.all((factors >= 0) & (factors < np.inf)):
            wrong = ~((factors >= 0) & (factors < np.inf))
            raise ValueError(
                "learning_rate must return a factor that is finite and >= 0, got "
                f"{factors[wrong][0]} at progress {progress[wrong][0]:g}."
            )
        return factors

    def end_epoch(self, optimizer, t):
        """Set the rate of the next epoch; t is the number of samples seen."""
        if self.kind == "invscaling":
            optimizer.learning_rate = self.rate / (t + 1) ** self.power_t

    def end_plateau(self, optimizer):
        """React to epochs without improvement.

        Returns
        -------
        stop : bool
        message : str
        """
        if self.kind != "adaptive":
            return True, "Stopping."
        if optimizer.rate <= MIN_ADAPTIVE_RATE:
            return True, "Learning rate too small. Stopping."
        optimizer.learning_rate = optimizer.rate / 5.0
        return False, f"Setting learning rate to {optimizer.rate:f}"
