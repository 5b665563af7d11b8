"""Reads a run folder, and that alone, and tells it: terminal summary, one-file HTML report, comparison."""
