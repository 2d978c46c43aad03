"""Workload transforms: each rewrites a model's description before it becomes ops."""
