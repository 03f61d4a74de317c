"""``CarlaWorld``: the driving scenarios on a CARLA 0.9.16 server, through the ``carla`` client library."""
