"""Pure decisions: pacing, retries, placement, criteria. No clock, no chance, no network."""
