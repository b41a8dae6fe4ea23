"""The base class of MLPClassifier and MLPRegressor, which fits them."""

from abc import ABC
from time import perf_counter

import numpy as np
from sklearn.base import BaseEstimator

from fastnn.estimators import stats
from fastnn.estimators.callbacks import CallbackSupportMixin, callbacks_of
from fastnn.estimators.exchange import ExchangeMixin
from fastnn.estimators.fitted import FittedNetworkMixin
from fastnn.estimators.history import HistoryMixin
from fastnn.estimators.inspection import InspectionMixin
from fastnn.estimators.parameters import check_scoring_name, check_weight_init
from fastnn.estimators.preparation import Call, PreparationMixin
from fastnn.estimators.private_names import PrivateNamesMixin
from fastnn.training.problem import train


class BaseMultilayerPerceptron(
    InspectionMixin,
    ExchangeMixin,
    PrivateNamesMixin,
    PreparationMixin,
    HistoryMixin,
    FittedNetworkMixin,
    CallbackSupportMixin,
    BaseEstimator,
    ABC,
):
    """Base class of the two estimators. Not for use by itself.

    An ABC, as scikit-learn's is, so that both have the same metaclass.
    """

    def _validate_params(self):
        check_weight_init(self)
        check_scoring_name(self)
        super()._validate_params()

    # ---- fitting -------------------------------------------------------------------

    def _fit(self, given, *, classes=None, incremental=False):
        """Prepare a training, train, and adopt the result.

        A copy of the estimator does so, because what prepares a training sets attributes, too. The
        estimator takes over what the copy has come to; if it fails, nothing has changed.
        """
        started = perf_counter()
        callbacks = callbacks_of(
            self,
            given,
            method="partial_fit" if incremental else "fit",
            unit="iteration" if self.solver == "lbfgs" else "epoch",
            max_epochs=self._max_epochs(incremental),
        )
        worker = self._as_of_now()
        before = vars(worker).copy()
        with stats.recorded(self, given.X, incremental):
            prepared = worker._prepare(given, classes, Call(incremental, started, callbacks))
            if prepared is not None:
                backend = worker._backend(trains=True)
                result = train(prepared.problem, prepared.state, backend, prepared.watch)
                worker._adopt(prepared, result, incremental)
                with self._taken_over(worker, before):
                    callbacks.end()
            else:
                callbacks.end()
        # A filter may make an error of a warning; the model is trained all the same.
        if prepared is None:
            self._advise_ended()
        else:
            worker._warn_of_end(prepared.watch, result, incremental)
        return self

    def _adopt(self, prepared, result, incremental):
        """Take a trained network, the state of its training, and the record of it."""
        if not np.isfinite(result.params).all():
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may"
                " contain large values and need to be preprocessed."
            )
        watch, params, state = prepared.watch, result.params, result.state
        self._set_progress(watch)
        if self.solver == "lbfgs":
            if np.isfinite(result.loss) or result.outcome == "failed":
                self.loss_ = np.float64(result.loss)
        else:
            ended = result.outcome == "converged"
            self._has_stopped = incremental and self.early_stopping and ended
            if incremental and result.outcome == "max_iter":
                # One epoch, as asked for.
                self.stop_reason_ = None
        if state is not None:
            params = state.handed_out(params, prepared.goes_on_in)
        self._set_network(prepared.problem.network, params)
        self._training_state = state
        self._extend_curves(watch)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
