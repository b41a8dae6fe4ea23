"""Which of an estimator's settings go over to scikit-learn's, and what is said of the others."""

import warnings

import pytest
from sklearn.base import clone

import fastnn
from common import scikit_learn_twin
from exchanges import assert_same_predictions, assert_same_weights, fitted


@pytest.mark.parametrize("solver", ["adamw", "rmsprop", "muon"])
def test_what_only_training_needs_is_left_out_in_one_warning(solver):
    params = {"dropout": 0.2, "l1_ratio": 0.5, "learning_rate": "cosine", "n_jobs": 1}
    ours, X, _ = fitted("multiclass", solver=solver, loss="squared_error", **params)
    with pytest.warns(UserWarning) as caught:
        theirs = ours.to_sklearn()
    assert [str(warning.message) for warning in caught] == [
        f"scikit-learn's MLPClassifier does not have solver={solver!r} (now 'adam'), "
        "learning_rate='cosine' (now 'constant'), l1_ratio=0.5, dropout=0.2, n_jobs=1, "
        "loss='squared_error'. The predictions are the same. Training the result further goes on "
        "without them."
    ]
    assert caught[0].filename == __file__
    assert theirs.solver == "adam" and theirs.learning_rate == "constant"
    assert not hasattr(theirs, "_optimizer")
    assert_same_predictions(ours, theirs, X)


def test_parameters_that_no_step_depends_on_leave_the_optimizer():
    ours, X, y = fitted("regression", n_jobs=1, dtype="float64", weight_init="he_normal")
    ours.verbose = "progress"
    left_out = r"verbose='progress' \(now True\), weight_init='he_normal', dtype='float64', n_jobs"
    with pytest.warns(UserWarning, match=left_out):
        theirs = ours.to_sklearn()
    assert_same_weights(ours.partial_fit(X, y), theirs.partial_fit(X, y))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"activation": ("relu", "gelu")}, r"no activation='gelu', that of hidden layer 2\. Train"),
        ({"activation": "prelu"}, "no activation='prelu', that of hidden layer 1"),
        ({"activation": ("relu", "tanh")}, r"for all hidden layers, not \('relu', 'tanh'\)"),
        ({"loss": "hinge"}, "no loss='hinge': .* Train with loss='log_loss'"),
    ],
)
def test_what_scikit_learn_cannot_express(params, message):
    model, _, _ = fitted("multiclass", **params)
    for ours in (model, clone(model)):
        with pytest.raises(ValueError, match=message):
            ours.to_sklearn()


def test_another_solver_and_larger_layers_put_in_place_begin_anew():
    ours, X, y = fitted("regression", hidden_layer_sizes=3)
    theirs = ours.set_params(solver="sgd").to_sklearn()
    assert_same_weights(ours.partial_fit(X, y), theirs.partial_fit(X, y))
    larger, _, _ = fitted("regression", hidden_layer_sizes=7)
    ours.coefs_, ours.intercepts_ = larger.coefs_, larger.intercepts_
    theirs = ours.set_params(hidden_layer_sizes=7).to_sklearn()
    assert_same_weights(ours.partial_fit(X, y), theirs.partial_fit(X, y))


@pytest.mark.parametrize(
    "params",
    [
        {"learning_rate": "adaptive"},
        {"learning_rate": "invscaling", "power_t": 2.0},
        {"solver": "lbfgs", "early_stopping": True},
    ],
    ids=str,
)
def test_parameters_without_effect_stay_as_they_are(params):
    ours, X, y = fitted("regression", **params)
    theirs = scikit_learn_twin(ours).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        there, here = ours.to_sklearn(), fastnn.MLPRegressor.from_sklearn(theirs)
    assert here.get_params() == ours.get_params()
    assert there.get_params() == theirs.get_params()
    assert_same_weights(ours, theirs, 1e-6)
    if ours.solver == "adam":
        assert_same_weights(ours.partial_fit(X, y), there.partial_fit(X, y))
        assert_same_weights(here.partial_fit(X, y), theirs.partial_fit(X, y))


@pytest.mark.parametrize("solver", ["adamw", "nadam"])
def test_a_schedule_goes_with_the_solver_that_has_it(solver):
    ours, _, _ = fitted("regression", solver=solver, learning_rate="adaptive")
    with pytest.warns(UserWarning, match=r"\(now 'adam'\), learning_rate='adaptive' \(now 'const"):
        ours.to_sklearn()
