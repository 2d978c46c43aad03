"""Serving: what requests see of a machine, on a second, slower clock over runs of whole models."""
