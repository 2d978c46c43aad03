"""Who runs designs: one executor a file, all behind the same two methods."""
