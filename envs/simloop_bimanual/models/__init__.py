"""The physics model of two arms and a task, read off robosuite, and what of it may change from episode to episode."""
