"""The gRPC shell: everything between the wire and a slice's servicer. No other package knows status codes."""
