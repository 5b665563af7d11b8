"""The stand-in provider: it answers as the real one would, and witnesses every notification that reaches it."""
