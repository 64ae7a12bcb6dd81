"""The `leo` command line: one file for each command."""
