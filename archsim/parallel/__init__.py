"""Graph passes: how an op graph is divided over devices, and what these then exchange."""
