"""Likelihood, consequence and effort to bands, ranks, tasks and a season's plan."""
