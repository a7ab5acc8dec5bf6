"""A bundle and a survey grid in, likelihood maps out, block by block."""
