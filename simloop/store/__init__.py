"""Results on disk: the run folder, its manifest, atomic parts and episode logs."""
