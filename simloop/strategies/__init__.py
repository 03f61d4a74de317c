"""Execution strategies: when to ask for a chunk, what to hand over, how to install what arrives."""
