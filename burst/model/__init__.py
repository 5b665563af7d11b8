"""Frozen values, units, errors and ports: the nouns every other floor speaks in. Pure."""
