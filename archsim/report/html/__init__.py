"""Pages that stand alone in one file: what they say, how they look, and their figures."""
