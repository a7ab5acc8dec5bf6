"""Records → what each cell is known to be. Never imports features, nor they it."""
