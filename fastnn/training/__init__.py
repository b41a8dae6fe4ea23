"""Training: a problem and a state go in, a result comes out; see `fastnn.training.problem`.

Nothing here knows a device or scikit-learn, or calls anything above but what the `Watch` was given.
"""
