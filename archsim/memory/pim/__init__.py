"""Processing in memory as commands to banks: command sets as data, traces, and their time.

What a plain controller does with reads and writes is in `memory.controllers`; engines that make
commands out of ops are components.
"""
