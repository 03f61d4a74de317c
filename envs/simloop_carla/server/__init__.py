"""A CARLA 0.9.16 server on a CPU: simloop's roads, dynamics, sensors and lights behind CARLA's protocol."""
