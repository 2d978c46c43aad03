"""Scratchpad allocation: lifetimes of tensors, addresses, and what to evict and fetch again."""
