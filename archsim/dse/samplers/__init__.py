"""Who chooses designs: one family of samplers a file, all behind the same two methods."""
