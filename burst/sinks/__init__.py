"""Sinks hand notifications to a provider and say what happened. Strangers to each other."""
