"""`leo import`: profiles from a file, row by row, into the running server."""
