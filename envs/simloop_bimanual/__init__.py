"""The two-arm domain: robosuite tasks, a compiled controller, contacts, cameras and metrics.

``tasks`` judge, on ``scenes`` of our own where robosuite has none; ``models`` are read off robosuite; ``physics``
starts and steps them; ``recording`` and ``metrics`` say what happened, ``rendering`` draws it; ``world`` is all of that
together.

Importing this package registers the Gymnasium ids in ``gym_ids.IDS``; robosuite is imported when the first
world is made.
"""

from simloop_bimanual.gym_ids import register_ids

register_ids()
