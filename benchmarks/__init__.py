"""Benchmarks: `make bench`. They measure and print; they assert nothing about time."""
