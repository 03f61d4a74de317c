"""``CarlaWorld``: the driving scenarios on a CARLA 0.9.16 server, through the ``carla`` client library.

``world`` plays an episode, whose things on the server are a ``server_episode``: ``ego``, ``actors``, ``lights``,
``pictures``. ``link`` is the connection, from the server's start to leaving it as it was found; ``background`` is
CARLA's own traffic.
"""
