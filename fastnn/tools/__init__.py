"""Programs around the estimators: the demo, scikit-learn's networks replaced, and warming up."""
