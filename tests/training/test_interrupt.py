"""Ctrl-C ends a fit with a warning and a usable model; in its first epoch, as if never begun."""

import json

import pytest

from common import run_python

# Trains in a process of its own, which sends itself SIGINT after a while.
TRAIN_AND_INTERRUPT = """
import json, os, signal, sys, threading, time, warnings
import numpy as np
import fastnn

job = json.loads(sys.argv[1])
rng = np.random.default_rng(0)
X = rng.standard_normal((job["n_samples"], 200))
y = (X[:, :50].sum(axis=1) > 0).astype(int)
model = getattr(fastnn, job["estimator"])(
    hidden_layer_sizes=(256, 128), random_state=0, max_iter=1, **job["params"]
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    # Everything is compiled before the clock runs.
    model.fit(X[:2000], y[:2000]).predict(X[:2000])
model.set_params(tol=0.0)
if model.solver != "lbfgs":
    model.set_params(n_iter_no_change=10**9)
model.set_params(max_iter=100_000)

sent = []
def interrupt():
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)

threading.Timer(job["delay"], interrupt).start()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    try:
        raised = None
        model.fit(X, y)
    except KeyboardInterrupt:
        raised = "KeyboardInterrupt"
seconds = time.perf_counter() - sent[0]
report = dict(
    raised=raised,
    seconds=seconds,
    warnings=[(w.category.__name__, str(w.message)) for w in caught],
    n_iter=model.n_iter_,
    n_losses=len(getattr(model, "loss_curve_", [])),
    n_scores=len(getattr(model, "validation_scores_", None) or []),
)
bound = np.sqrt(6 / (200 + 256))
initial = np.random.RandomState(0).uniform(-bound, bound, (200, 256))
report["trained"] = not np.allclose(model.coefs_[0], initial, rtol=0, atol=1e-7)
raw = getattr(model, "predict_proba", model.predict)(X[:100])
report["usable"] = len(raw) == 100 and bool(np.isfinite(raw).all())
warnings.simplefilter("ignore")
if hasattr(model, "partial_fit") and not model.early_stopping:
    report["goes_on"] = bool(np.isfinite(model.partial_fit(X[:2000], y[:2000]).loss_))
again = model.set_params(max_iter=1).fit(X[:2000], y[:2000])
report["begins_again"] = bool(np.isfinite(again.loss_))
print(json.dumps(report))
"""


def interrupted_fit(estimator="MLPClassifier", *, n_samples=10_000, delay=1.5, **params):
    """Interrupt a fit `delay` seconds after it began; return what was seen."""
    job = dict(estimator=estimator, n_samples=n_samples, delay=delay, params=params)
    report = run_python(TRAIN_AND_INTERRUPT, json.dumps(job))
    print(f"back {report['seconds']:.3f} s after the signal, {report['n_iter']} iterations")
    assert report["raised"] is None
    assert report["warnings"] == [["UserWarning", "Training interrupted by user."]]
    assert report["n_iter"] < 100_000
    assert report["usable"] and report["begins_again"]
    return report


@pytest.mark.parametrize(
    "params",
    [
        dict(),
        pytest.param(dict(dtype="float32", n_jobs=1), marks=pytest.mark.slow),
        pytest.param(
            dict(estimator="MLPRegressor", solver="sgd", learning_rate_init=1e-4),
            marks=pytest.mark.slow,
        ),
        pytest.param(dict(early_stopping=True), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_interrupted_fit(params):
    report = interrupted_fit(**params)
    assert report["trained"]
    assert report["n_losses"] == report["n_iter"]
    assert report["n_scores"] == (report["n_iter"] if params.get("early_stopping") else 0)
    assert report.get("goes_on", True)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["MLPClassifier", "MLPRegressor"])
def test_interrupted_lbfgs(estimator):
    """The model is that of the last whole iteration."""
    report = interrupted_fit(estimator, solver="lbfgs")
    assert report["trained"] and report["n_losses"] == report["n_iter"] > 0


# Interrupts a first fit, a refit and a partial_fit in their first epoch; says what is left of each.
INTERRUPT_THE_FIRST_EPOCH = """
import json, os, signal, sys, threading, time, warnings
import numpy as np
import fastnn

params = json.loads(sys.argv[1])
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X = rng.standard_normal((300_000, 200))
y = (X[:, :50].sum(axis=1) > 0).astype(int)
model = fastnn.MLPClassifier(hidden_layer_sizes=(256, 128), random_state=0, n_jobs=1, **params)
# Everything is compiled before the clock runs.
fastnn.MLPClassifier(**model.get_params()).set_params(max_iter=1).fit(X[:2000], y[:2000])
# By name, as it may not have the method.
report = []
for method in ("fit", "fit", "partial_fit"):
    if method == "partial_fit":
        model.set_params(early_stopping=False)
    if not hasattr(model, method):
        continue
    before = {name: value for name, value in vars(model).items()}
    threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    begin = time.perf_counter()
    try:
        getattr(model, method)(X, y)
        raised = False
    except KeyboardInterrupt:
        raised = True
    seconds = time.perf_counter() - begin
    same = vars(model).keys() == before.keys() and all(
        value is before[name] for name, value in vars(model).items()
    )
    report.append([method, hasattr(model, "coefs_"), raised, same, seconds])
    if method == "fit" and not hasattr(model, "coefs_"):
        model.set_params(max_iter=1).fit(X[:2000], y[:2000]).set_params(max_iter=50)
print(json.dumps(report))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "params",
    [dict(batch_size=1), dict(batch_size=1, early_stopping=True), dict(solver="lbfgs")],
    ids=str,
)
def test_interrupted_before_the_first_epoch_is_done(params):
    """Neither the end of an epoch nor that of a gradient over all samples is waited for."""
    report = run_python(INTERRUPT_THE_FIRST_EPOCH, json.dumps(params))
    assert [was_fitted for _, was_fitted, *_ in report] == [False] + [True] * (len(report) - 1)
    for method, _, raised, is_as_it_was, seconds in report:
        print(f"{method} raised after {seconds:.2f} s")
        assert raised and is_as_it_was
