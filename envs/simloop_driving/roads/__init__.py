"""Roads: lane geometry as arrays, sampled once from ASAM OpenDRIVE."""
