"""How skill is measured so that it can be believed: folds, guard, metrics, baselines."""
