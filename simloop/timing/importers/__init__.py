"""Readers of other tools' latency records; each gives durations by stage, from which a trace is made."""
