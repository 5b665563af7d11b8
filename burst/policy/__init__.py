"""Pure decisions: pacing, retry, token bucket, placement, routing, criteria. The caller brings clock and chance."""
