"""Answers: counters turned into time, energy and area, checked against the laws, in words."""
