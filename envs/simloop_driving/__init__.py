"""The driving domain: an embedded world, its scenarios, sensors and metrics.

Importing this package registers the Gymnasium ids ``simloop/CutIn-v0`` and ``simloop/LeadDeceleration-v0``.
"""

from simloop_driving.gym_ids import register_ids

register_ids()
