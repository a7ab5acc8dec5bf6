"""The record of runs in MLflow; nothing else imports it."""
