"""What moves: vehicles, walkers and props in arrays, their kernels, and their records in a snapshot."""
