"""The command line: one command a file. It is the only part of the platform that prints."""
