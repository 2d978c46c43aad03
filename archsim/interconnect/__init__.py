"""Things that move data: one kind a file, found by scanning this folder."""
