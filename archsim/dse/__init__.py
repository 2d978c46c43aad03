"""Choices about a design: found by running it, again and again, on top of `archsim.api`."""
