"""``CarlaWorld``: the driving scenarios on a CARLA 0.9.16 server, through the ``carla`` client library.

``world`` plays an episode, whose things on the server are a ``server_episode``: ``ego``, ``actors``, ``lights``,
``pictures``. ``connection`` is the world's way to its server and what is played there; ``link`` is a session with a
server, from the server's start to leaving it as it was found, and knows nothing of episodes; ``background`` is CARLA's
own traffic.
"""
