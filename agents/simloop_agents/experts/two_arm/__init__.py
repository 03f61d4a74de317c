"""Scripted experts for the two-arm tasks: one module a task, chosen by what the ground truth looks like."""
