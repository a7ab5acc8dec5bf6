"""One module per command: settings in, stages called in order, a summary out."""
