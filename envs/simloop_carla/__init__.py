"""CARLA for simloop: a CPU server that speaks CARLA 0.9.16's wire protocol."""
