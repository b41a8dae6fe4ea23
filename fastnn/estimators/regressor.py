"""MLPRegressor, with scikit-learn's interface."""

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score

from fastnn.estimators.base import BaseMultilayerPerceptron
from fastnn.estimators.checks import check_regression_target
from fastnn.estimators.docs import fill_docstring
from fastnn.estimators.parameter_table import constraints_of
from fastnn.estimators.parameter_table.parameter import REGRESSOR
from fastnn.estimators.validation_set import Given
from fastnn.kernels.losses import LOSSES, POSITIVE


@fill_docstring(stratified="", metric="the R2 score")
class MLPRegressor(RegressorMixin, BaseMultilayerPerceptron):
    """Multi-layer perceptron regressor.

    Minimises the squared error, or another loss, by L-BFGS or stochastic gradient
    descent, in compiled code. It takes the place of
    `sklearn.neural_network.MLPRegressor`.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    MLPClassifier : Multi-layer perceptron classifier.
    sklearn.neural_network.MLPRegressor : The interface that this class follows.

    Notes
    -----
    X is not copied as a whole if it is an aligned array of native float32 or float64, of any
    strides, or CSR in canonical format; sparse X is never made dense. A fit that fails
    leaves the estimator as it was, and so does Ctrl-C before the first epoch is done; after it,
    Ctrl-C ends the fit with a warning and a usable model.

    References
    ----------
    {references}

    Examples
    --------
    >>> from fastnn import MLPRegressor
    >>> from sklearn.datasets import make_regression
    >>> from sklearn.model_selection import train_test_split
    >>> X, y = make_regression(n_samples=200, n_features=20, random_state=1)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=1)
    >>> regr = MLPRegressor(random_state=1, max_iter=2000, tol=0.1)
    >>> regr.fit(X_train, y_train)
    MLPRegressor(max_iter=2000, random_state=1, tol=0.1)
    >>> print(regr.predict(X_test[:2]).round())
    [  29. -291.]
    >>> print(f"{regr.score(X_test, y_test):.2f}")
    0.98
    """

    _parameter_constraints: dict = constraints_of(REGRESSOR)
    _y_numeric = True

    def __init__(
        self,
        loss="squared_error",
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        l1_ratio=0.0,
        dropout=0.0,
        input_dropout=0.0,
        batch_norm=False,
        batch_norm_momentum=0.1,
        max_grad_norm=None,
        weight_average=None,
        warmup_fraction=0.0,
        weight_init="auto",
        augment=None,
        scoring=None,
        max_time=None,
        dtype="auto",
        device=None,
        n_jobs=None,
        huber_delta=1.35,
        quantile=0.5,
    ):
        # Every parameter becomes the attribute of its name, nothing else happens here.
        parameters = dict(locals())
        del parameters["self"]
        for name, value in parameters.items():
            setattr(self, name, value)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X,
        y,
        sample_weight=None,
        *,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
    ):
        """Fit the model to data X and targets y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The training data.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values; with loss='gamma' positive.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, not all zero.

        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            A validation set of your own, which is not trained on: its scores and losses are
            recorded, and the best weights are kept; with ``early_stopping=True`` it decides when
            training ends, and nothing is split off X. In a Pipeline it is transformed as
            X is with ``Pipeline(..., transform_input=["X_val"])`` and metadata routing.

        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Its targets; given with X_val.

        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of its samples.

        Returns
        -------
        self : MLPRegressor
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, y, sample_weight or a parameter is not valid, or if the weights of the
            network became non-finite.
        TypeError
            If y is not numeric.

        Examples
        --------
        >>> from fastnn import MLPRegressor
        >>> X, y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]
        >>> regr = MLPRegressor(
        ...     hidden_layer_sizes=(), solver="lbfgs", alpha=0, random_state=0
        ... )
        >>> print(regr.fit(X, y).coefs_[0].round(2), regr.intercepts_[0].round(2))
        [[2.]] [1.]
        """
        given = Given(X, y, sample_weight, X_val, y_val, sample_weight_val)
        return self._fit(given)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X,
        y,
        sample_weight=None,
        *,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
    ):
        """Update the model with a single epoch over the given data.

        With solver='lbfgs', which has no epochs, by a whole run that begins with the weights so
        far, as in scikit-learn.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The training data.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values; with loss='gamma' positive.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, not all zero.

        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            A validation set of your own, which is not trained on: its scores and losses are
            recorded, and the best weights are kept; with ``early_stopping=True`` it decides when
            training ends, and nothing is split off X. In a Pipeline it is transformed as
            X is with ``Pipeline(..., transform_input=["X_val"])`` and metadata routing.

        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Its targets; given with X_val.

        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of its samples.

        Returns
        -------
        self : MLPRegressor
            The estimator.

        Raises
        ------
        ValueError
            As in `fit`; if early_stopping is set and there is no X_val.

        Examples
        --------
        >>> from fastnn import MLPRegressor
        >>> regr = MLPRegressor(random_state=0).partial_fit([[0.0], [1.0]], [1.0, 3.0])
        >>> regr.partial_fit([[2.0]], [5.0]).t_
        3
        """
        given = Given(X, y, sample_weight, X_val, y_val, sample_weight_val)
        return self._fit(given, incremental=True)

    def predict(self, X):
        """Predict target values.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The predicted values, in the precision of the network.
        """
        return self._as_of_now()._predict(X)

    def _decode(self, outputs):
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def _encode_target(self, y, classes, incremental):
        y = check_regression_target(y, self.loss)
        goes_on = hasattr(self, "coefs_") and (incremental or self.warm_start)
        if goes_on and y.shape[1] == 1 and self.solver != "lbfgs":
            # One column is the target of every output, as in scikit-learn.
            network, _ = self._fitted_network()
            y = np.repeat(y, network.n_outputs, axis=1)
        return y

    def _encode_held_out(self, y):
        return check_regression_target(y, self.loss, "y_val")

    def _n_outputs(self, y):
        return y.shape[1]

    def _network_loss(self):
        parameter = LOSSES[self.loss].parameter
        return self.loss, 0.0 if parameter is None else getattr(self, parameter)

    def _stratification(self, y):
        return None

    def _score_outputs(self, y, outputs, sample_weight):
        return float(r2_score(y, outputs, sample_weight=sample_weight))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        loss = LOSSES.get(self.loss)
        tags.target_tags.positive_only = loss is not None and loss.domain == POSITIVE
        return tags
