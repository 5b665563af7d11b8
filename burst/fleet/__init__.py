"""The fleet: launching workers, their heartbeats and clocks, orders to them, and the GO latch."""
