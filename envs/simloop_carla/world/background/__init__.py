"""Background traffic: vehicles that CARLA's TrafficManager drives, in a process of its own."""
