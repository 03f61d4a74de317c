"""A CARLA 0.9.16 server on a CPU: simloop's roads, dynamics, sensors and lights behind CARLA's protocol.

``command`` starts it. ``net`` takes calls and sends streams, ``methods`` answers the calls. ``simulator`` ticks an
``episode``: its ``actors`` from the ``library`` of blueprints, their moving ``bodies``, the ``towns`` they are in, its
``lights``, and the ``sensors`` on them.
"""
