"""Architectures: each file turns the numbers of one family of models into blocks of ops."""
