"""Sockets: remote calls, streams, the start and the end of the process, and a log that never blocks it."""
