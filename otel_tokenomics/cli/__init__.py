"""The command line, one file per command. May import everything below but never a client."""
