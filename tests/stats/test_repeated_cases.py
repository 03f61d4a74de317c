"""Several plays of a case count as one draw: against closed forms, enumeration, scipy and simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import permutation_test

from simloop.errors import ParameterError
from simloop.stats.paired import (
    Alternative,
    compare_paired,
    exact_mcnemar,
    newcombe_interval,
    pair_outcomes,
    pair_plays,
    sign_flip,
)
from simloop.stats.rate import effective_cases, rate_of, wilson, wilson_bounds

TRIALS = 400


@pytest.mark.parametrize(("k", "n", "m"), [(17, 20, 20), (0, 6, 5), (6, 6, 5), (1, 3, 2)])
def test_plays_of_a_world_that_repeats_itself_leave_the_interval_as_it_is(k: int, n: int, m: int) -> None:
    flags = [case < k for case in range(n)] * m
    rate, single = rate_of(flags, list(range(n)) * m), wilson(k, n)
    assert rate is not None
    assert (rate.low, rate.high) == pytest.approx((single.low, single.high), abs=1e-12)
    assert (rate.successes, rate.n, rate.num_cases) == (k * m, n * m, n)
    assert rate.low == 0.0 or k > 0
    assert rate.high == 1.0 or k < n


def test_single_plays_are_cases_as_before() -> None:
    assert rate_of([True, False, True], ["a", "b", "c"]) == rate_of([True, False, True]) == wilson(2, 3)


def test_unequal_numbers_of_plays_count_by_kishs_formula() -> None:
    assert effective_cases([7] * 12) == pytest.approx(12.0)
    assert effective_cases([1, 1, 4]) == pytest.approx(36.0 / 18.0)
    rate = rate_of([True, False, True, True, True, False], ["a", "b", "c", "c", "c", "c"])
    assert rate is not None
    assert (rate.low, rate.high) == pytest.approx(wilson_bounds(4 / 6, 2.0))


def test_a_rate_of_plays_says_of_how_many_cases() -> None:
    assert (
        str(rate_of([True, False] * 3, [0, 1] * 3))
        == "50.0 % (3/6 plays of 2 cases, 95 % interval 9.5-90.5 %)"
    )
    assert str(rate_of([True] * 3, [0] * 3)).startswith("100.0 % (3/3 plays of 1 case, ")


@pytest.mark.parametrize("wobble", [0.0, 0.1, 1.0])
def test_the_interval_covers_whatever_the_wobble(wobble: float) -> None:
    # Case i succeeds with probability 0 or 1 (no wobble: plays are copies) or p (all wobble: plays are independent).
    rng = np.random.Generator(np.random.Philox(3))
    p, n, m = 0.8, 30, 10
    covered = naive = 0
    for _ in range(TRIALS):
        of_case = rng.random((n, 1)) < p
        flags = np.where(rng.random((n, m)) < wobble, rng.random((n, m)) < p, of_case)
        rate = rate_of(flags.ravel(), np.repeat(np.arange(n), m))
        assert rate is not None
        covered += rate.low <= p <= rate.high
        loose = wilson(int(flags.sum()), n * m)
        naive += loose.low <= p <= loose.high
    # 0.95 less three standard errors of so many trials.
    assert covered / TRIALS > 0.95 - 3 * (0.95 * 0.05 / TRIALS) ** 0.5
    # What it is for: plays taken for cases cover a world that repeats itself about half as often as they say.
    assert wobble > 0.5 or naive / TRIALS < 0.75


LEADS = [(3, -1, 2, 0, 5), (1, 1, -1), (2, 2, 2, -2), (4,), (-3, -3, 1, 0, 0), (10, -7, 4, 4, 1, -2)]


@pytest.mark.parametrize("leads", LEADS)
def test_sign_flip_is_the_share_of_all_signs(leads: tuple[int, ...]) -> None:
    sums = [
        sum(s * abs(x) for s, x in zip(signs, leads, strict=True))
        for signs in itertools.product((-1, 1), repeat=len(leads))
    ]
    observed = sum(leads)
    assert sign_flip(leads, Alternative.GREATER) == pytest.approx(np.mean([s >= observed for s in sums]))
    assert sign_flip(leads, Alternative.LESS) == pytest.approx(np.mean([s <= observed for s in sums]))
    assert sign_flip(leads) == pytest.approx(np.mean([abs(s) >= abs(observed) for s in sums]))


@pytest.mark.parametrize(
    ("alternative", "word"),
    [(Alternative.GREATER, "greater"), (Alternative.LESS, "less"), (Alternative.DIFFERENT, "two-sided")],
)
def test_sign_flip_agrees_with_scipy(alternative: Alternative, word: str) -> None:
    leads = (5, 3, -1, 4, 2, -2, 6, 1)
    # scipy's two-sided p-value doubles the smaller tail, which is the same for a symmetric distribution.
    expected = permutation_test(
        (np.array(leads),), np.mean, permutation_type="samples", alternative=word, n_resamples=10_000
    )
    assert sign_flip(leads, alternative) == pytest.approx(expected.pvalue, abs=1e-12)


@pytest.mark.parametrize(("b", "c"), [(1, 0), (5, 0), (8, 2), (2, 8), (6, 6), (30, 12)])
@pytest.mark.parametrize("m", [1, 7])
def test_sign_flip_of_equal_leads_is_mcnemar(b: int, c: int, m: int) -> None:
    cases = [str(i) for i in range(b + c)]
    table = pair_outcomes(
        {case: i < b for i, case in enumerate(cases)}, {case: i >= b for i, case in enumerate(cases)}
    )
    for alternative in Alternative:
        flipped = sign_flip([m] * b + [-m] * c + [0] * 3, alternative)
        assert flipped == pytest.approx(exact_mcnemar(table, alternative))


def test_sign_flip_of_equal_arms_shows_nothing_and_of_many_is_finite() -> None:
    assert sign_flip([0, 0, 0]) == 1.0
    leads = [20 if i % 3 else -19 for i in range(2000)]
    assert 0.0 < sign_flip(leads) < 1e-20
    assert sign_flip(leads, Alternative.LESS) == pytest.approx(1.0)


OUTCOMES = {
    "a": (True, False),
    "b": (True, True),
    "c": (False, True),
    "d": (False, False),
    "e": (True, False),
}


@pytest.mark.parametrize("m", [1, 5])
def test_copies_of_each_play_change_neither_test_nor_interval(m: int) -> None:
    first, second = ({case: pair[arm] for case, pair in OUTCOMES.items()} for arm in (0, 1))
    single = compare_paired(pair_outcomes(first, second))
    copied = compare_paired(
        pair_plays({c: [o] * m for c, o in first.items()}, {c: [o] * m for c, o in second.items()})
    )
    assert copied.p_value == pytest.approx(single.p_value)
    assert (copied.low, copied.high) == pytest.approx((single.low, single.high))
    assert copied.difference == pytest.approx(single.difference)
    assert copied.counts.n == 5
    assert bool(copied.counts.leads) == (m > 1)


def test_parts_of_cases_are_the_shares_of_pairs_of_plays() -> None:
    counts = pair_plays({"a": [True, True, False]}, {"a": [True, False, False]})
    assert (counts.both, counts.only_first, counts.only_second, counts.neither) == pytest.approx(
        (2 / 9, 4 / 9, 1 / 9, 2 / 9)
    )
    assert counts.leads == (1,)
    assert (counts.only_first_text, counts.only_second_text) == ("0.44", "0.11")
    assert "n = 1 repeated cases, 0.44 against 0.11 discordant, exact sign-flip p = 1" in str(
        compare_paired(counts)
    )


def test_as_many_plays_count_as_both_arms_have() -> None:
    counts = pair_plays({"a": [True] + [False] * 19, "only here": [True]}, {"a": [False]})
    assert (counts.n, counts.only_first, counts.leads) == (1, 1, ())
    uneven = pair_plays({"a": [True, True, False], "b": [True]}, {"a": [False, True], "b": [True, True]})
    assert uneven.leads == (1, 0)
    with pytest.raises(ParameterError, match="no case in common"):
        pair_plays({"a": [True]}, {"b": [True]})


def _arms(rng: np.random.Generator, n: int, m: int, wobble: float) -> tuple[dict[str, list[bool]], ...]:
    """Two arms of equal skill that win and lose different cases; a play is another one's copy but for the wobble."""
    arms = []
    for _ in range(2):
        of_case = rng.random((n, 1)) < 0.7
        flags = np.where(rng.random((n, m)) < wobble, ~of_case, of_case)
        arms.append({str(i): flags[i].tolist() for i in range(n)})
    return tuple(arms)


def test_the_test_and_the_interval_keep_their_level_where_plays_taken_for_cases_do_not() -> None:
    rng = np.random.Generator(np.random.Philox(5))
    rejected = naive = covered = 0
    for _ in range(TRIALS):
        first, second = _arms(rng, 25, 8, 0.05)
        counts = pair_plays(first, second)
        rejected += exact_mcnemar(counts) < 0.05
        low, high = newcombe_interval(counts)
        covered += low <= 0.0 <= high
        flat = [
            {f"{c} {i}": o for c, plays in arm.items() for i, o in enumerate(plays)}
            for arm in (first, second)
        ]
        naive += exact_mcnemar(pair_outcomes(*flat)) < 0.05
    assert rejected / TRIALS < 0.05 + 3 * (0.05 * 0.95 / TRIALS) ** 0.5
    assert covered / TRIALS > 0.95 - 3 * (0.05 * 0.95 / TRIALS) ** 0.5
    assert naive / TRIALS > 0.3
