"""The estimators that a scikit-learn user sees, and what makes them scikit-learn's.

``classifier``, ``regressor`` and ``perceptron`` are the public ones. A fit of the first two goes
through ``base``, ``preparation``, `fastnn.training` and back; it leaves a ``trained`` network in a
``fitted`` estimator.
"""
