"""Things that compute: one engine a file, found by scanning this folder."""
