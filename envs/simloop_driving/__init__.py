"""The driving domain: an embedded world, its scenarios, sensors and metrics.

Importing this package registers a Gymnasium id for every scenario family, ``simloop/CutIn-v0`` and so on, and
``simloop/Driving-v0``, which plays any of them.
"""

from simloop_driving.gym_ids import register_ids

register_ids()
