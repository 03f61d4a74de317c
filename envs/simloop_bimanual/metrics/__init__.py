"""Two-arm metrics: how far the lift came, how level it was, and whether the arms hit each other."""
