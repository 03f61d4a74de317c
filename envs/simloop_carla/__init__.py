"""CARLA 0.9.16 for simloop, in both directions.

``wire`` is the protocol; ``server`` speaks it on a CPU (``simloop carla-server``), on simloop's roads; ``world`` plays
the driving scenarios on any such server through the ``carla`` client library (``world=carla``).
"""
