"""What the samples of a suite say: estimators, intervals, paired comparison. Imports no model."""
