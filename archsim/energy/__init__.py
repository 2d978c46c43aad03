"""Energy and area: rows by class and action, scaling between nodes, and their sources."""
