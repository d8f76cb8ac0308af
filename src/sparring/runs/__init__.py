"""Runs: a recipe trained in a folder, monitored and resumable; and what its networks are used for."""
