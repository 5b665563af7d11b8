"""Histograms, timelines and tallies: arithmetic on columns, no clock of their own. Pure."""
