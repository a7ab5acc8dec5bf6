"""Families of features, computed block by block; the same code trains and scores."""
