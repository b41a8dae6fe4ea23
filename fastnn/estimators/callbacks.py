"""scikit-learn's callbacks: what they are told of a fit. Newer than 1.8, so they may be missing."""

from fastnn.training.watch import NoCallbacks

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:
        """Stands in for scikit-learn's before 1.9, where there are no callbacks to set."""


class EpochCallbacks:
    """Calls an estimator's callbacks: around the fit, and around each epoch or iteration.

    Parameters
    ----------
    estimator : estimator with callbacks
    given : Given
        What the user gave to fit.
    method, unit : str
        What the task of the whole and that of each part are called.
    max_epochs : int
    """

    see_state = True

    def __init__(self, estimator, given, *, method, unit, max_epochs):
        self.estimator, self.unit = estimator, unit
        self.data = {"estimator": estimator, "X": given.X, "y": given.y, "metadata": {}}
        if given.sample_weight is not None:
            self.data["metadata"]["sample_weight"] = given.sample_weight
        self.task = None
        self.attributes = None
        self.context = estimator._init_callback_context(task_name=method, max_subtasks=max_epochs)

    def begin(self, attributes):
        """The fit begins; ``attributes(params)`` are the fitted ones with these parameters."""
        self.attributes = attributes
        self.context.call_on_fit_task_begin(**self.data)

    def begin_epoch(self):
        self.task = self.context.subcontext(task_name=self.unit)
        self.task.call_on_fit_task_begin(**self.data)

    def end_epoch(self, params):
        """Whether a callback asks to stop; without parameters, none is shown a fitted estimator."""
        task, self.task = self.task, None
        fitted = {}
        if params is not None:
            fitted["reconstruction_attributes"] = lambda: self.attributes(params)
        return task.call_on_fit_task_end(**self.data, **fitted)

    def end(self):
        """The fit has ended, and maybe an epoch before its end."""
        if self.attributes is None:
            return
        if self.task is not None:
            self.task.call_on_fit_task_end(**self.data)
        self.context.call_on_fit_task_end(**self.data, reconstruction_attributes={})


def callbacks_of(estimator, given, **settings):
    """The `EpochCallbacks` of an estimator, or `NoCallbacks` if it has none."""
    if not getattr(estimator, "_skl_callbacks", None):
        return NoCallbacks()
    return EpochCallbacks(estimator, given, **settings)
