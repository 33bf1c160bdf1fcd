"""Results from the samples of a suite: estimators, intervals, paired comparison. Loads no model."""
