"""The rules that go with every strategy: alignment, over-run, staleness, trigger and the predictor of d-hat."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from simloop.clock import NS_PER_MS
from simloop.errors import ParameterError, UnknownNameError
from simloop.strategies.delay_prediction import (
    Constant,
    DelayEstimate,
    Ewma,
    MaxOfWindow,
    Oracle,
    P95OfWindow,
    Predictor,
    rounded_ticks,
)

_E = TypeVar("_E", bound=enum.Enum)

WHERE = "strategy.rules"


class Align(enum.Enum):
    """Which action of a chunk acts at a control tick."""

    BY_TICK = "by_tick"
    """Row i at tick k + i of the observation tick k."""
    BY_TIME = "by_time"
    """The rows' values at the tick's instant, linear between rows."""
    RESTART = "restart"
    """Row 0 on arrival, however late it is: the known bug, kept to show what it does."""


class Overrun(enum.Enum):
    """What becomes of a chunk that came later than predicted, d > d-hat."""

    USE = "use"
    DISCARD = "discard"
    EXTEND_PREFIX = "extend_prefix"
    """Used; the prefix that is handed over is longer than d-hat by a margin, within which it is no over-run."""


class Trigger(enum.Enum):
    """When an asynchronous strategy asks for a chunk."""

    EVERY = "every"
    """Every s ticks."""
    REMAINING_BELOW = "remaining_below"
    """Fewer than ``trigger_ticks`` actions are left and nothing is under way."""
    QUEUE_BELOW = "queue_below"
    """Less than ``trigger_fraction`` of a chunk is left and nothing is under way."""
    AS_SOON_AS_FREE = "as_soon_as_free"
    """Nothing is under way."""


class PredictorKind(enum.Enum):
    """How d-hat is predicted."""

    CONSTANT = "constant"
    MAX_OF_WINDOW = "max_of_window"
    P95_OF_WINDOW = "p95_of_window"
    EWMA = "ewma"
    ORACLE = "oracle"


class RoundingRule(enum.Enum):
    """How a predicted delay in time becomes one in control ticks."""

    CEIL = "ceil"
    FLOOR = "floor"


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorRules:
    """How d-hat is predicted.

    Attributes:
        kind: The estimate.
        ticks: The delay of ``constant``, in control ticks; None takes the timing's mean, rounded.
        window: How many realised delays ``max_of_window`` and ``p95_of_window`` remember.
        alpha: Weight of the newest delay in ``ewma``, in (0, 1].
        rounding: How a fraction of a tick is rounded.
        bias_ticks: Added to every prediction.
        noise_ticks: Standard deviation of normal noise that is added and rounded.
    """

    kind: PredictorKind = PredictorKind.MAX_OF_WINDOW
    ticks: int | None = None
    window: int = 10
    alpha: float = 0.25
    rounding: RoundingRule = RoundingRule.CEIL
    bias_ticks: int = 0
    noise_ticks: float = 0.0

    def make(self, nominal_ns: float, control_period_ns: int, key: tuple[int, int]) -> Predictor:
        """Builds the predictor of one episode; see ``ChunkRules.make_predictor``."""
        rounding = math.ceil if self.rounding is RoundingRule.CEIL else math.floor
        nominal = nominal_ns / control_period_ns
        initial = rounded_ticks(nominal, rounding)
        estimate: DelayEstimate
        if self.kind is PredictorKind.CONSTANT:
            estimate = Constant(initial if self.ticks is None else self.ticks)
        elif self.kind is PredictorKind.MAX_OF_WINDOW:
            estimate = MaxOfWindow(initial, self.window)
        elif self.kind is PredictorKind.P95_OF_WINDOW:
            estimate = P95OfWindow(initial, self.window, rounding)
        elif self.kind is PredictorKind.EWMA:
            estimate = Ewma(nominal, self.alpha, rounding)
        else:
            estimate = Oracle()
        return Predictor(estimate, bias_ticks=self.bias_ticks, noise_ticks=self.noise_ticks, key=key)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRules:
    """What is done with chunks, whatever the strategy.

    Attributes:
        align: Which action acts at which tick.
        overrun: What becomes of a chunk with d > d-hat.
        prefix_margin_ticks: How much longer than d-hat the prefix of ``extend_prefix`` is.
        drop_older: Whether a chunk is dropped whose observation is older than that of the installed one.
        max_age_ns: A chunk is dropped if its observation is older than this on arrival; None never.
        trigger: When an asynchronous strategy asks.
        trigger_ticks: Threshold of ``remaining_below``.
        trigger_fraction: Threshold of ``queue_below``, as a share of the chunk.
        predictor: How d-hat is predicted.
    """

    align: Align = Align.BY_TICK
    overrun: Overrun = Overrun.USE
    prefix_margin_ticks: int = 0
    drop_older: bool = True
    max_age_ns: int | None = None
    trigger: Trigger = Trigger.EVERY
    trigger_ticks: int = 8
    trigger_fraction: float = 0.5
    predictor: PredictorRules = field(default_factory=PredictorRules)

    def make_predictor(self, nominal_ns: float, control_period_ns: int, key: tuple[int, int]) -> Predictor:
        """Builds the predictor of one episode.

        Args:
            nominal_ns: Mean end-to-end latency; predicted until a delay was seen.
            control_period_ns: Control period.
            key: Key of the injected noise's stream.
        """
        return self.predictor.make(nominal_ns, control_period_ns, key)

    def is_overrun(self, predicted_ticks: int, realised_ticks: int) -> bool:
        """Whether a chunk came later than it was prepared for."""
        return realised_ticks > predicted_ticks + self.prefix_margin_ticks

    def is_discarded(self, predicted_ticks: int, realised_ticks: int) -> bool:
        """Whether a chunk is dropped because it came later than it was prepared for."""
        return self.overrun is Overrun.DISCARD and self.is_overrun(predicted_ticks, realised_ticks)


def rules_from_config(config: Mapping[str, Any] | None) -> ChunkRules:
    """Builds the rules from the plain values of ``strategy.rules``.

    Raises:
        ParameterError: A value is out of range; the message names the key, the value and what is allowed.
        UnknownNameError: A key that no rule has.
    """
    plain = dict(config or {})
    _refuse_unknown(plain, (*_CHUNK_KEYS, "predictor"), WHERE)
    predictor = plain.pop("predictor", None) or {}
    if not isinstance(predictor, Mapping):
        raise ParameterError(f"{WHERE}.predictor is {predictor!r}; allowed: a mapping of {_PREDICTOR_KEYS}.")
    where = f"{WHERE}.predictor"
    _refuse_unknown(predictor, _PREDICTOR_KEYS, where)
    default = PredictorRules()
    built = PredictorRules(
        kind=_word(PredictorKind, predictor, "kind", default.kind, where),
        ticks=None if predictor.get("ticks") is None else _whole(predictor, "ticks", 0, where, low=0),
        window=_whole(predictor, "window", default.window, where, low=1),
        alpha=_number(predictor, "alpha", default.alpha, where, "a number above 0 and at most 1", _is_alpha),
        rounding=_word(RoundingRule, predictor, "rounding", default.rounding, where),
        bias_ticks=_whole(predictor, "bias_ticks", default.bias_ticks, where, low=None),
        noise_ticks=_number(predictor, "noise_ticks", default.noise_ticks, where, "a number >= 0", _is_size),
    )
    if built.ticks is not None and built.kind is not PredictorKind.CONSTANT:
        raise ParameterError(
            f"{where}.ticks is {built.ticks}, but {where}.kind is {built.kind.value!r}; allowed: ticks with kind "
            "constant only."
        )
    return _chunk_rules(plain, built)


def _chunk_rules(plain: Mapping[str, Any], predictor: PredictorRules) -> ChunkRules:
    default = ChunkRules()
    max_age_ms = plain.get("max_age_ms")
    if max_age_ms is not None:
        max_age_ms = _number(plain, "max_age_ms", 0.0, WHERE, "a number >= 0, or null for no limit", _is_size)
    drop_older = plain.get("drop_older", default.drop_older)
    if type(drop_older) is not bool:
        raise ParameterError(f"{WHERE}.drop_older is {drop_older!r}; allowed: true, false.")
    rules = ChunkRules(
        align=_word(Align, plain, "align", default.align, WHERE),
        overrun=_word(Overrun, plain, "overrun", default.overrun, WHERE),
        prefix_margin_ticks=_whole(plain, "prefix_margin_ticks", 0, WHERE, low=0),
        drop_older=drop_older,
        max_age_ns=None if max_age_ms is None else round(max_age_ms * NS_PER_MS),
        trigger=_word(Trigger, plain, "trigger", default.trigger, WHERE),
        trigger_ticks=_whole(plain, "trigger_ticks", default.trigger_ticks, WHERE, low=1),
        trigger_fraction=_number(
            plain,
            "trigger_fraction",
            default.trigger_fraction,
            WHERE,
            "a number above 0 and at most 1",
            _is_alpha,
        ),
        predictor=predictor,
    )
    if rules.prefix_margin_ticks and rules.overrun is not Overrun.EXTEND_PREFIX:
        raise ParameterError(
            f"{WHERE}.prefix_margin_ticks is {rules.prefix_margin_ticks}, but {WHERE}.overrun is "
            f"{rules.overrun.value!r}; allowed: a margin with overrun extend_prefix only."
        )
    return rules


_CHUNK_KEYS = (
    *(f.name for f in dataclasses.fields(ChunkRules) if f.name not in ("max_age_ns", "predictor")),
    "max_age_ms",
)
_PREDICTOR_KEYS = tuple(f.name for f in dataclasses.fields(PredictorRules))


def _refuse_unknown(plain: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in plain:
        if key not in known:
            raise UnknownNameError("key", str(key), known, where=where)


def _word(kind: type[_E], plain: Mapping[str, Any], key: str, default: _E, where: str) -> _E:
    value = plain.get(key, default.value)
    try:
        return kind(value)
    except ValueError:
        allowed = ", ".join(m.value for m in kind)
        raise ParameterError(f"{where}.{key} is {value!r}; allowed: {allowed}.") from None


def _whole(plain: Mapping[str, Any], key: str, default: int, where: str, *, low: int | None) -> int:
    value = plain.get(key, default)
    if type(value) is not int or (low is not None and value < low):
        bound = "" if low is None else f" >= {low}"
        raise ParameterError(f"{where}.{key} is {value!r}; allowed: a whole number{bound}.")
    return value


def _number(
    plain: Mapping[str, Any], key: str, default: float, where: str, allowed: str, is_allowed: Any
) -> float:
    value = plain.get(key, default)
    if type(value) not in (int, float) or not is_allowed(value):
        raise ParameterError(f"{where}.{key} is {value!r}; allowed: {allowed}.")
    return float(value)


def _is_alpha(value: float) -> bool:
    return 0.0 < value <= 1.0


def _is_size(value: float) -> bool:
    return 0.0 <= value < math.inf
