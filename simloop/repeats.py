"""How far a run repeats itself: several plays of a case by the same agent, timing and strategy, set side by side.

Nothing that draws knows the number of a play (``EpisodeSpec.repeat``), so what differs between the plays of a case is
the world's own wobble: threads of a server, a renderer, a clock. A case is *flaky* if its verdict (success,
fail, agent error) is not the same in all its judged plays, and *repeats to the bit* if verdict, reason, number of ticks
and the hash of its log are. A world that declares bitwise determinism (``simloop.world.Determinism``) promises the
latter for every episode whose inference times were not measured; a broken promise is an error of the platform.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from simloop.stats.rate import Rate, wilson
from simloop.store.play_logs import played
from simloop.store.row import CELL_COLUMNS, REPEAT, EpisodeStatus

_JUDGED = frozenset(s.value for s in EpisodeStatus if s.is_judged)
_ENDED = (EpisodeStatus.SUCCESS.value, EpisodeStatus.FAIL.value)


def case_name(row: Mapping[str, Any]) -> str:
    """Returns the name of a row's case, with the number of the play where there are several."""
    repeat = row.get(REPEAT)
    return str(row["case_id"]) if repeat is None else f"{row['case_id']} play {repeat}"


def by_play(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the rows with all first plays first, then the second ones, and so on; otherwise in their order."""
    return sorted(rows, key=lambda row: row.get(REPEAT) or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedCase:
    """The plays of one case under one agent, timing and strategy.

    Attributes:
        case_id, scenario, world, agent, timing, strategy, seed: What is played, and by whom.
        parameters: The scenario's parameters as JSON.
        num_plays: Recorded plays.
        num_judged: Plays with a verdict.
        num_successes: Plays that succeeded.
        verdicts: Number of judged plays by verdict.
        reasons: Number of judged plays by verdict and reason, such as ``fail: collision``, most frequent first.
        first_ids: Id of the first play by verdict; of one with a log where there is one.
        num_courses: Different courses of events among the judged plays: verdict, reason, ticks and hash of the log. Of
            an agent's error, which leaves no complete log, only the verdict counts.
        course_ids: Ids of two plays of different courses whose logs were kept; empty if there are none.
        least_ticks, most_ticks: Fewest and most control ticks of a judged play.
        is_promised: Whether the world promises to repeat the case to the bit.
    """

    case_id: str
    scenario: str
    world: str
    agent: str
    timing: str
    strategy: str
    seed: int
    parameters: str
    num_plays: int
    num_judged: int
    num_successes: int
    verdicts: Mapping[str, int]
    reasons: Mapping[str, int]
    first_ids: Mapping[str, str]
    num_courses: int
    course_ids: tuple[str, ...]
    least_ticks: int
    most_ticks: int
    is_promised: bool

    @property
    def key(self) -> dict[str, str]:
        """The columns of its cell."""
        return {name: getattr(self, name) for name in CELL_COLUMNS}

    @property
    def name(self) -> str:
        """Scenario, seed and arm in one line."""
        return " / ".join((self.scenario, f"seed {self.seed}", self.agent, self.timing, self.strategy))

    @property
    def is_compared(self) -> bool:
        """Whether there are two judged plays to set against each other."""
        return self.num_judged > 1

    @property
    def is_flaky(self) -> bool:
        """Whether the verdict is not the same in all judged plays."""
        return len(self.verdicts) > 1

    @property
    def is_to_the_bit(self) -> bool:
        """Whether all judged plays took one course."""
        return self.num_courses == 1

    @property
    def disagreement(self) -> float:
        """Share of the pairs of different judged plays whose verdicts differ."""
        n = self.num_judged
        same = sum(count * (count - 1) for count in self.verdicts.values())
        return 1.0 - same / (n * (n - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """How far the cases of a run repeat themselves.

    Attributes:
        num_repeats: How often each was to be played.
        cases: Every repeated case, in the order of the rows.
    """

    num_repeats: int
    cases: tuple[RepeatedCase, ...]

    @property
    def compared(self) -> list[RepeatedCase]:
        """The cases with at least two judged plays; all figures are about them."""
        return [case for case in self.cases if case.is_compared]

    @property
    def flaky(self) -> list[RepeatedCase]:
        """The flaky cases, those that are nearest to one half first."""
        found = [case for case in self.compared if case.is_flaky]
        return sorted(found, key=lambda case: -case.disagreement)

    @property
    def broken_promises(self) -> list[RepeatedCase]:
        """The cases that do not repeat to the bit although their world promises it."""
        return [case for case in self.compared if case.is_promised and not case.is_to_the_bit]

    @property
    def num_promised(self) -> int:
        """Number of compared cases whose world promises to repeat them to the bit."""
        return sum(case.is_promised for case in self.compared)

    @property
    def flake_rate(self) -> Rate | None:
        """Share of the compared cases that are flaky, with its Wilson interval; more plays find more of them."""
        return wilson(len(self.flaky), len(self.compared)) if self.compared else None

    @property
    def num_to_the_bit(self) -> int:
        """Number of compared cases that repeat to the bit."""
        return sum(case.is_to_the_bit for case in self.compared)

    @property
    def disagreement(self) -> float | None:
        """Chance that two plays of a case have different verdicts; unlike the flake rate free of their number."""
        compared = self.compared
        return sum(case.disagreement for case in compared) / len(compared) if compared else None

    def cells(self) -> dict[tuple[str, ...], Repeats]:
        """Returns the repeats of each scenario, agent, timing and strategy, in the order of first occurrence."""
        groups: dict[tuple[str, ...], list[RepeatedCase]] = {}
        for case in self.cases:
            groups.setdefault(tuple(case.key.values()), []).append(case)
        return {
            key: Repeats(num_repeats=self.num_repeats, cases=tuple(group)) for key, group in groups.items()
        }


def find_repeats(rows: Iterable[Mapping[str, Any]], config: Mapping[str, Any]) -> Repeats | None:
    """Sets the plays of each case of a run against each other; None if cases were played once.

    Args:
        rows: Rows of the run.
        config: ``Manifest.config``; its ``repeats`` say how often cases are played, which worlds are statistical
            and which timings measured.
    """
    facts = config.get("repeats")
    if not facts:
        return None
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row.get(REPEAT) is not None:
            groups.setdefault(played(row), []).append(row)
    return Repeats(
        num_repeats=int(facts["count"]),
        cases=tuple(_case(by_play(group), facts) for group in groups.values()),
    )


def _case(rows: list[Mapping[str, Any]], facts: Mapping[str, Any]) -> RepeatedCase:
    first = rows[0]
    judged = [row for row in rows if row["status"] in _JUDGED]
    ticks = [int(row["num_ticks"]) for row in judged]
    courses = {_course(row): row for row in reversed(judged)}
    logged = {_course(row): row for row in reversed(judged) if row.get("has_log")}
    different = tuple(str(row["episode_id"]) for row in by_play(logged.values())[:2])
    plays = [*(row for row in judged if row.get("has_log")), *judged]
    return RepeatedCase(
        case_id=str(first["case_id"]),
        scenario=str(first["scenario"]),
        world=str(first["world"]),
        agent=str(first["agent"]),
        timing=str(first["timing"]),
        strategy=str(first["strategy"]),
        seed=int(first["seed"]),
        parameters=str(first["parameters"]),
        num_plays=len(rows),
        num_judged=len(judged),
        num_successes=sum(row["status"] == EpisodeStatus.SUCCESS.value for row in judged),
        verdicts=dict(Counter(str(row["status"]) for row in judged).most_common()),
        reasons=dict(Counter(_reason(row) for row in judged).most_common()),
        first_ids={str(row["status"]): str(row["episode_id"]) for row in reversed(plays)},
        num_courses=len(courses),
        course_ids=different if len(different) == 2 else (),
        least_ticks=min(ticks, default=0),
        most_ticks=max(ticks, default=0),
        is_promised=first["world"] not in facts["statistical_worlds"]
        and first["timing"] not in facts["measured_timings"],
    )


def _reason(row: Mapping[str, Any]) -> str:
    status, reason = str(row["status"]), str(row["reason"] or "")
    return f"{status}: {reason}" if status == EpisodeStatus.FAIL.value and reason else status


def _course(row: Mapping[str, Any]) -> tuple[Any, ...]:
    if row["status"] not in _ENDED:
        return (row["status"],)
    return (row["status"], row["reason"], row["num_ticks"], row.get("episode_hash"))
