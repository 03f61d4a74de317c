"""The two-arm domain: robosuite tasks, a compiled controller, contacts, cameras and metrics.

Importing this package registers the Gymnasium ids in ``gym_ids.IDS``; robosuite is imported when the first
world is made.
"""

from simloop_bimanual.gym_ids import register_ids

register_ids()
