"""What a server process answers over HTTP."""
