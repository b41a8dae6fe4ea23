"""The estimators inside the tools, and on the kinds of data, that people use them with."""

import pickle
import re

import joblib
import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_diabetes, load_digits
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingRegressor
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    RandomizedSearchCV,
    cross_val_predict,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from common import (
    ESTIMATORS,
    PROBLEMS,
    assert_same_model,
    estimator_for,
    fitted_attributes,
    make_problem,
    needs_sklearn,
    predictions,
    sample_weights,
    scikit_learn_twin,
)
from fastnn import MLPClassifier, MLPRegressor


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:600], y[:600]


def digits_classifier(**params):
    defaults = dict(hidden_layer_sizes=(30,), batch_size=40, learning_rate_init=0.01)
    return MLPClassifier(**{**defaults, "max_iter": 25, "random_state": 0, **params})


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_grid_search_in_parallel(backend, digits):
    """Two workers find what one finds, to the bit."""
    pipeline = make_pipeline(StandardScaler(), digits_classifier(max_iter=15))
    grid = {
        "mlpclassifier__alpha": [1e-4, 10.0],
        "mlpclassifier__hidden_layer_sizes": [(8,), (30,)],
    }
    alone = GridSearchCV(pipeline, grid, cv=3).fit(*digits)
    with joblib.parallel_config(backend=backend):
        search = GridSearchCV(pipeline, grid, cv=3, n_jobs=2).fit(*digits)
    for split in range(3):
        name = f"split{split}_test_score"
        assert_array_equal(search.cv_results_[name], alone.cv_results_[name])
    assert_same_model(search.best_estimator_[-1], alone.best_estimator_[-1], digits[0])
    assert search.best_score_ > 0.85
    assert search.score(*digits) > 0.95


def test_randomized_search_over_own_parameters(digits):
    space = {"dtype": ["float32", "float64"], "n_jobs": [1, 2], "solver": ["sgd", "adam"]}
    search = RandomizedSearchCV(
        digits_classifier(max_iter=5), space, n_iter=4, cv=2, random_state=0
    )
    assert np.isfinite(search.fit(*digits).cv_results_["mean_test_score"]).all()


def test_cross_val_predict(digits):
    X, y = digits
    pipeline = make_pipeline(MinMaxScaler(), digits_classifier())
    proba = cross_val_predict(pipeline, X, y, cv=3, method="predict_proba")
    assert proba.shape == (len(y), 10)
    assert_allclose(proba.sum(axis=1), 1)
    assert np.mean(proba.argmax(axis=1) == y) > 0.8
    in_two_processes = cross_val_predict(pipeline, X, y, cv=3, method="predict_proba", n_jobs=2)
    assert_array_equal(proba, in_two_processes)


def test_calibrated_classifier(digits):
    X, y = digits
    pipeline = make_pipeline(MinMaxScaler(), digits_classifier())
    calibrated = CalibratedClassifierCV(pipeline, cv=3).fit(X[:400], y[:400])
    proba = calibrated.predict_proba(X[400:])
    assert_allclose(proba.sum(axis=1), 1)
    assert calibrated.score(X[400:], y[400:]) > 0.75


def test_calibrated_classifier_with_weights(digits):
    X, y = digits
    calibrated = CalibratedClassifierCV(digits_classifier(), cv=2)
    calibrated.fit(X, y, sample_weight=sample_weights(len(y)))
    assert calibrated.score(X, y) > 0.9


def test_bagging_classifier(digits):
    X, y = digits
    bagging = BaggingClassifier(digits_classifier(), n_estimators=4, random_state=0, n_jobs=2)
    bagging.fit(X[:400], y[:400])
    assert bagging.score(X[400:], y[400:]) > 0.75
    assert len({e.coefs_[0].tobytes() for e in bagging.estimators_}) == 4


def test_stacking_classifier(digits):
    X, y = digits
    members = [
        ("mlp", make_pipeline(StandardScaler(), digits_classifier())),
        ("line", make_pipeline(StandardScaler(), LogisticRegression())),
    ]
    stacking = StackingClassifier(members, cv=3).fit(X[:400], y[:400])
    assert stacking.score(X[400:], y[400:]) > 0.75


def test_one_vs_rest(digits):
    X, y = digits
    one_vs_rest = OneVsRestClassifier(digits_classifier(hidden_layer_sizes=(8,)))
    assert one_vs_rest.fit(X, y).score(X, y) > 0.95


def test_regressors_in_tools():
    X, y = load_diabetes(return_X_y=True)
    model = make_pipeline(
        StandardScaler(), MLPRegressor(hidden_layer_sizes=(), max_iter=200, solver="lbfgs")
    )
    scores = cross_validate(model, X, y, cv=4, scoring=("r2", "neg_mean_absolute_error"))
    assert scores["test_r2"].mean() > 0.4
    voting = VotingRegressor([("a", model), ("b", clone(model))]).fit(X, y)
    assert voting.score(X, y) > 0.4
    importance = permutation_importance(model.fit(X, y), X, y, n_repeats=3, random_state=0)
    assert np.argmax(importance.importances_mean) in (4, 5, 8)  # s1, s2, s5
    sizes, train, test = learning_curve(model, X, y, cv=3, train_sizes=[0.3, 1.0])
    assert train.shape == test.shape == (2, 3) and np.isfinite(train).all()


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_pickle_joblib_and_clone(problem, solver, tmp_path):
    """A loaded model has the same bits, and trains on from them to the same bits."""
    X, y = make_problem(problem)
    params = dict(solver=solver, hidden_layer_sizes=(6,), random_state=0, max_iter=9)
    model = estimator_for(problem, **params).fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    pickled = pickle.loads(pickle.dumps(model))
    for loaded in (pickled, joblib.load(tmp_path / "model.joblib"), mapped):
        assert_same_model(loaded, model, X)
        np.testing.assert_equal(fitted_attributes(loaded), fitted_attributes(model))
        assert_same_model(clone(loaded).fit(X, y), model, X)
        if solver != "lbfgs":
            ahead = pickle.loads(pickle.dumps(model)).partial_fit(X, y)
            assert_same_model(loaded.partial_fit(X, y), ahead, X)
    again = clone(model)
    assert again.get_params() == model.get_params() and fitted_attributes(again) == {}


def test_pickle_before_fit():
    X, y = make_problem("binary")
    model = estimator_for("binary", random_state=0, max_iter=3)
    loaded = pickle.loads(pickle.dumps(model))
    assert_same_model(loaded.fit(X, y), model.fit(X, y), X)


@pytest.mark.parametrize("problem", ["multiclass", "regression"])
def test_weights_can_be_changed(problem):
    """Weights that the user sets, in place or anew, are those that are used from then on."""
    X, y = make_problem(problem)
    ours = estimator_for(problem, hidden_layer_sizes=(6,), random_state=0, max_iter=3).fit(X, y)
    theirs = scikit_learn_twin(ours).fit(X, y)
    rng = np.random.default_rng(0)
    new_coef, new_intercept = rng.standard_normal((7, 6)), rng.standard_normal(6)
    for model in (ours, theirs):
        model.coefs_[0] = new_coef.copy()
        model.intercepts_[0][...] = new_intercept
        model.coefs_[1][0] *= 2
    name = "predict_proba" if problem == "multiclass" else "predict"
    assert_allclose(getattr(ours, name)(X), getattr(theirs, name)(X), rtol=1e-9)
    ours.partial_fit(X, y)
    theirs.partial_fit(X, y)
    pairs = zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True)
    for a, b in pairs:
        assert_allclose(a, b, rtol=1e-9)


# Older ones find no column names in the frames of Polars 2.
POLARS = pytest.param("polars", marks=needs_sklearn("1.9"))


@needs_sklearn("1.7")  # the table of parameters
@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_html_and_text_repr(Estimator):
    model = Estimator(hidden_layer_sizes=(7, 3), dtype="float32")
    assert repr(model) == f"{Estimator.__name__}(dtype='float32', hidden_layer_sizes=(7, 3))"
    html = model._repr_html_()
    assert Estimator.__name__ in html
    for name in model.get_params():
        assert re.search(rf"\b{name}\b", html), name
    fitted = model.set_params(max_iter=2).fit(*make_problem("binary"))
    assert "Fitted" in fitted._repr_html_() and "Not fitted" in Estimator()._repr_html_()
    assert Estimator.__name__ in make_pipeline(StandardScaler(), model)._repr_html_()


@pytest.mark.parametrize("library", ["pandas", POLARS])
@pytest.mark.parametrize("problem", ["binary", "multiclass", "regression", "multioutput"])
def test_data_frames(library, problem):
    """Frames give the same bits as arrays, and their column names are kept and checked."""
    frames = pytest.importorskip(library)
    X, y = make_problem(problem, n_samples=60)
    names = [f"x{i}" for i in range(X.shape[1])]
    frame = frames.DataFrame(dict(zip(names, X.T, strict=True)))
    target = frames.Series(y) if y.ndim == 1 else frames.DataFrame(y)
    params = dict(hidden_layer_sizes=(6,), random_state=0, max_iter=6, early_stopping=True)
    from_frame = estimator_for(problem, **params)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        from_frame.fit(frame, target).predict(X)
    from_array = estimator_for(problem, **params).fit(X, y)
    np.testing.assert_equal(from_frame.coefs_, from_array.coefs_)
    np.testing.assert_equal(predictions(from_frame, frame), predictions(from_array, X))
    assert list(from_frame.feature_names_in_) == names
    assert not hasattr(from_array, "feature_names_in_")
    assert from_frame.n_features_in_ == len(names)
    with pytest.raises(ValueError, match="feature names should match"):
        from_frame.predict(frame[names[::-1]])


def test_mixed_columns_of_a_frame():
    pd = pytest.importorskip("pandas")
    X, y = make_problem("binary")
    frame = pd.DataFrame(X)
    frame[0] = (frame[0] > 0).astype(bool)
    frame[1] = (frame[1] * 10).astype("int16")
    frame[2] = frame[2].astype("float32")
    frame[3] = frame[3].astype("Float64")
    frame.columns = frame.columns.astype(str)
    params = dict(hidden_layer_sizes=(6,), random_state=0, max_iter=6)
    from_frame = estimator_for("binary", **params).fit(frame, pd.Categorical(y))
    from_array = estimator_for("binary", **params).fit(frame.to_numpy(dtype=float), y)
    assert_array_equal(from_frame.coefs_[0], from_array.coefs_[0])


@pytest.mark.parametrize("library", ["default", "pandas", POLARS])
@pytest.mark.parametrize("problem", ["multiclass", "regression"])
def test_set_output(library, problem):
    """Output containers are for transformers; predictions stay arrays."""
    if library != "default":
        pytest.importorskip(library)
    X, y = make_problem(problem)
    model = estimator_for(problem, hidden_layer_sizes=(6,), random_state=0, max_iter=4)
    assert not hasattr(model, "set_output")
    plain = make_pipeline(StandardScaler(), clone(model)).fit(X, y)
    with sklearn.config_context(transform_output=library):
        pipeline = make_pipeline(StandardScaler(), model).fit(X, y)
        said = predictions(pipeline, X)
    assert all(type(value) is np.ndarray for value in said.values())
    np.testing.assert_equal(said, predictions(plain, X))
    assert hasattr(pipeline[-1], "feature_names_in_") == (library != "default")


@needs_sklearn("1.8")  # before, a search passes no sample_weight to Pipeline.score
def test_metadata_routing_of_sample_weight():
    """A requested sample_weight reaches fit, partial_fit and score through other tools."""
    X, y = make_problem("multiclass", n_samples=90)
    weight = sample_weights(len(y))
    groups = np.arange(len(y)) % 3
    params = dict(hidden_layer_sizes=(6,), random_state=0, max_iter=9)
    with sklearn.config_context(enable_metadata_routing=True):
        model = MLPClassifier(**params).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True).set_partial_fit_request(
            sample_weight=True, classes=True
        )
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model)
        pipeline.fit(X, y, sample_weight=weight)
        search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [0.1, 1.0]}, cv=GroupKFold(3))
        search.fit(X, y, sample_weight=weight, groups=groups)
        unrequested = make_pipeline(MLPClassifier(**params))
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="sample_weight"):
            unrequested.fit(X, y, sample_weight=weight)
        requests = model.get_metadata_routing()
    unset = dict.fromkeys(("X_val", "y_val", "sample_weight_val"))
    assert requests.fit.requests == {"sample_weight": True} | unset
    assert requests.score.requests == {"sample_weight": True}
    assert requests.partial_fit.requests == {"sample_weight": True, "classes": True} | unset
    Z = StandardScaler().fit_transform(X)
    weighted = MLPClassifier(**params).fit(Z, y, sample_weight=weight)
    assert_same_model(pipeline[-1], weighted, Z)
    assert not np.array_equal(weighted.coefs_[0], MLPClassifier(**params).fit(Z, y).coefs_[0])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


LABELS = {
    "str": lambda y: np.array(["ape", "bee", "cat", "dog"])[y],
    "object": lambda y: np.array(["ape", "bee", "cat", "dog"], dtype=object)[y],
    "bytes": lambda y: y.astype("int8"),
    "negative": lambda y: -7 * y,
    "float": lambda y: y.astype(float),
    "list": lambda y: ["abcd"[i] for i in y],
    "uint64": lambda y: y.astype(np.uint64),
}


@pytest.mark.parametrize("relabel", LABELS.values(), ids=LABELS.keys())
@pytest.mark.parametrize("problem", ["binary", "multiclass"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_labels(relabel, problem, early_stopping):
    """Any labels: the network is the same, predictions are in the labels' own terms."""
    X, y = make_problem(problem, n_samples=80)
    names = np.unique(relabel(y))
    order = {value: k for k, value in enumerate(names.tolist())}
    ranks = np.array([order[v] for v in np.asarray(relabel(y)).tolist()])
    params = dict(hidden_layer_sizes=(6,), max_iter=30, random_state=0)
    params |= dict(early_stopping=early_stopping, learning_rate_init=0.02)
    named = MLPClassifier(**params).fit(X, relabel(y))
    ranked = MLPClassifier(**params).fit(X, ranks)
    assert_array_equal(named.classes_, names)
    assert_array_equal(named.predict(X), names[ranked.predict(X)])
    # scikit-learn before 1.9 cannot score labels that are no numbers.
    theirs = scikit_learn_twin(named).set_params(max_iter=1, early_stopping=False)
    theirs.fit(X, relabel(y))
    assert named.predict(X).dtype == theirs.predict(X).dtype
    assert named.classes_.dtype == theirs.classes_.dtype
    assert_array_equal(named.predict_proba(X), ranked.predict_proba(X))
    assert named.score(X, relabel(y)) == ranked.score(X, ranks)
    assert early_stopping or named.score(X, relabel(y)) > 0.6


def test_bool_labels():
    X, y = make_problem("binary")
    model = MLPClassifier(random_state=0, max_iter=3).fit(X, y == 1)
    assert model.predict(X).dtype == bool
    assert_array_equal(model.classes_, [False, True])


@pytest.mark.parametrize("container", ["array", "bool", "list", "csr", "csc"])
def test_multilabel_targets(container):
    from scipy import sparse

    X, y = make_problem("multilabel")
    containers = {
        "array": y,
        "bool": y.astype(bool),
        "list": y.tolist(),
        "csr": sparse.csr_matrix(y),
        "csc": sparse.csc_matrix(y),
    }
    params = dict(hidden_layer_sizes=(6,), max_iter=10, random_state=0)
    expected = MLPClassifier(**params).fit(X, y)
    model = MLPClassifier(**params).fit(X, containers[container])
    assert_array_equal(model.coefs_[0], expected.coefs_[0])
    assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    said = model.predict(X)
    assert sparse.issparse(said) == (container in ("csr", "csc"))
    assert_array_equal(said.toarray() if sparse.issparse(said) else said, expected.predict(X))


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("given", ["float32", "float64"])
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_dtype(problem, precision, given, solver):
    """dtype decides the precision: as if X had been cast before."""
    X, y = make_problem(problem)
    X = X.astype(given)
    params = dict(hidden_layer_sizes=(6,), max_iter=5, random_state=0, solver=solver)
    chosen = estimator_for(problem, dtype=precision, **params).fit(X, y)
    # "auto" follows X; with lbfgs, as in scikit-learn, it always comes to float64.
    own = "auto" if solver == "adam" else precision
    followed = estimator_for(problem, dtype=own, **params).fit(X.astype(precision), y)
    assert {a.dtype for a in chosen.coefs_ + chosen.intercepts_} == {np.dtype(precision)}
    np.testing.assert_equal(chosen.coefs_, followed.coefs_)
    np.testing.assert_equal(chosen.intercepts_, followed.intercepts_)
    np.testing.assert_equal(predictions(chosen, X), predictions(followed, X.astype(precision)))
    if problem in ("regression", "poisson", "multioutput"):
        assert chosen.predict(X).dtype == precision
    else:
        assert chosen.predict_proba(X).dtype == precision


def test_auto_dtype_predicts_on_other_precision():
    X, y = make_problem("multiclass")
    model = MLPClassifier(max_iter=5, random_state=0).fit(X.astype(np.float32), y)
    assert_allclose(model.predict_proba(X), model.predict_proba(X.astype(np.float32)), rtol=1e-5)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_n_jobs(problem, solver, dtype):
    """The number of threads changes nothing, not one bit."""
    X, y = make_problem(problem, n_samples=700, n_features=40)
    params = dict(hidden_layer_sizes=(70, 33), max_iter=3, random_state=0, solver=solver)
    models = [
        estimator_for(problem, n_jobs=n_jobs, dtype=dtype, **params).fit(X, y)
        for n_jobs in (1, None, 2, -1, -2, 64)
    ]
    for model in models[1:]:
        assert_same_model(model, models[0], X)
