"""Schemas of the log tables that the loop itself writes; the world's tables come beside them as ``world.<name>``."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from simloop.log import Column, TableSchema


def _int(name: str, description: str) -> Column:
    return Column(name=name, dtype="int64", description=description)


@functools.cache
def loop_schemas(action_size: int) -> Mapping[str, TableSchema]:
    """Returns the schema of every loop table for a world with (A,) actions, A = ``action_size``."""
    return {
        "captures": TableSchema(
            description="One row a sensor capture.",
            columns=(
                Column(name="sensor", dtype="text"),
                _int("index", "capture number of that sensor"),
                _int("t_ns", "instant that the capture was due"),
                _int("captured_at_ns", "instant of the frozen physics state"),
                _int(
                    "delivered_at_ns",
                    "instant it reached the assembly; -1 if dropped, lost or not there at the episode's end",
                ),
                _int("num_bytes", "size of the frame on its way"),
                Column(name="is_dropped", dtype="bool", description="whether the sensor never delivered it"),
                Column(name="is_lost", dtype="bool", description="whether it was lost on its way"),
                Column(name="is_consumed", dtype="bool", description="whether an inference read it"),
                Column(name="digest", dtype="text", description="hash of the array, of consumed frames only"),
            ),
        ),
        "inferences": TableSchema(
            description="One row a request; instants are -1 where the episode ended (or the queue dropped it) before.",
            columns=(
                _int("request", "number of the request in the episode"),
                Column(name="call", dtype="text", description="policy, context, expert, corrector"),
                _int("observation_tick", "control tick at or before the anchor item's capture"),
                _int("anchor_captured_at_ns", "capture instant of the anchor item"),
                _int("trigger_ns", "sealed"),
                _int("sent_ns", "preprocess done, uplink begins"),
                _int("arrived_ns", "at the accelerator"),
                _int("start_ns", "model starts, after the queue"),
                _int("done_ns", "model has finished"),
                _int("deliver_ns", "reply has arrived"),
                _int("install_tick", "first control tick at which the reply was usable"),
                _int("realised_delay_ticks", "d = install_tick - observation_tick, counted"),
                _int("predicted_delay_ticks", "d-hat"),
                _int("num_committed", "rows of weight 1, or actions to roll over, that were handed over"),
                _int(
                    "context_age_ns", "trigger minus capture of the context's anchor item; -1 without context"
                ),
                _int("batch", "requests that the model answered together; 0 before it starts"),
                _int("uplink_bytes", "size of the request on the uplink; 0 if it takes none"),
                _int("downlink_bytes", "size of the reply on the downlink; 0 if it takes none"),
                Column(name="is_free", dtype="bool", description="the first chunk, which costs nothing"),
                Column(
                    name="state",
                    dtype="text",
                    description="installed, elapsed, delivered (contexts), uplink_lost, queue_dropped, "
                    "downlink_lost, stale_dropped, too_old, overrun_discarded, in_flight",
                ),
                Column(name="notes", dtype="text", description="the agent's notes"),
            ),
        ),
        "consumed": TableSchema(
            description="One row an observation item that a request carries.",
            columns=(
                _int("request", "number of the request"),
                Column(name="sensor", dtype="text"),
                _int("index", "capture number"),
                _int("age_ns", "trigger instant minus capture instant"),
            ),
        ),
        "chunks": TableSchema(
            description="One row an action of a chunk that was handed to the strategy, in the world frame.",
            columns=(
                _int("request", "number of the request"),
                _int("row", "row in the chunk"),
                _int("tick", "control tick that it was meant for"),
                Column(name="action", width=action_size),
                Column(name="is_executed", dtype="bool", description="took effect before the episode's end"),
            ),
        ),
        "ticks": TableSchema(
            description="One row a control tick.",
            columns=(
                _int("tick", "number of the control tick, from 0"),
                _int("t_ns", "instant of the tick"),
                _int("late_ns", "that instant minus the one it was due (control jitter)"),
                _int("request", "request whose chunk acts; -1 for a hold"),
                _int("row", "row in that chunk; -1 for a hold"),
                _int("correction", "request whose correction acts in its stead; -1 for none"),
                _int("num_blended", "chunks that the action is made of; 0 for a hold"),
                Column(name="is_hold", dtype="bool"),
                Column(name="action", width=action_size, description="world frame"),
                _int("due_ns", "instant that the effect was due, also if overtaken"),
                _int(
                    "effect_ns", "instant at which the action takes effect; -1 if a later action overtook it"
                ),
                _int("quantisation_ns", "effect instant minus the instant it was due; -1 if overtaken"),
                _int(
                    "action_age_ns",
                    "effect instant minus capture of the anchor item; -1 for a hold or if overtaken",
                ),
            ),
        ),
        "outcomes": TableSchema(
            description="The world's verdict, polled at each control tick.",
            columns=(
                _int("tick", "number of the control tick"),
                _int("t_ns", "instant"),
                Column(name="state", dtype="text", description="running, success, fail"),
                Column(name="reason", dtype="text"),
                _int("stage", "sub-task reached"),
                Column(name="is_goal_met", dtype="bool", description="goal condition at this instant"),
            ),
        ),
    }
