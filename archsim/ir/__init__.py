"""Pure data: what is computed (tensor, op, graph), where it may run (target), how (mapping)."""
