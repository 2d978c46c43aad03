"""From a model description to an op graph: forms are read, architectures are built, one a file."""
