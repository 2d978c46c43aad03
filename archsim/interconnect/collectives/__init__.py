"""Collectives: one algorithm a file, found by scanning this folder, and their price on a fabric."""

from archsim.interconnect.collective_options import CollectiveOptions
from archsim.interconnect.collectives.exchange import Exchanged, exchange, neighbours

__all__ = ["CollectiveOptions", "Exchanged", "exchange", "neighbours"]
