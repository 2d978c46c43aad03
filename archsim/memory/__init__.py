"""Things that hold: one memory kind a file, DRAM standards as data."""
