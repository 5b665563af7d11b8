"""Clients that others wrote, each given the same order."""
