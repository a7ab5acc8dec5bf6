"""Consequence criteria: whom or what contamination here would harm or hold back."""
