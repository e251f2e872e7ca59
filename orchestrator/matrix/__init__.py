"""A matrix of runs: models x agents over the same instances, as one plan with one report."""
