"""A simulated district whose true contamination is known, written as ordinary files."""
