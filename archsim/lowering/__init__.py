"""From a model description to an op graph: one architecture or one file form a module."""
