"""Tools for testing archsim and its plug-ins, shipped so that a plug-in's author can use them too.

Each module is imported by name; this one exports nothing. Nothing outside tests depends on them.
"""
