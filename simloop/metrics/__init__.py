"""Domain-free metrics: pure functions of an episode log."""
