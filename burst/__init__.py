"""burst: rehearse and prove an event-scale notification burst."""

__version__ = "0.1.0"
