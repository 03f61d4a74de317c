"""The shipped presets: their totals are the published ones, and each says where they come from."""

from __future__ import annotations

import math

import pytest

from simloop.agent import Call
from simloop.compose import choices, component, description, make_timing
from simloop.timing.stage_graph import FirstChunk, Mode, Timing
from simloop.world import SensorKind

# Preset: total in ms; control period in ms and delay in ticks as the source counts it (None: no count published).
PUBLISHED: dict[str, tuple[float, float, int | None]] = {
    "zero": (0.0, 20, 0),
    "constant": (200.0, 50, None),
    "pi05_4090_static": (108.76, 20, 6),
    "pi05_4090_mobile": (138.98, 20, 7),
    "pi05_4090_sync": (76 + 6.89 + 1.44 + 3.00, 20, 5),
    "pi05_4090_plus100": (208.76, 20, 11),
    "pi05_4090_plus200": (308.76, 20, 16),
    "pi06_h100_remote": (108.0, 20, None),
    "xr0_4090": (84.44, 1000 / 30, 3),
    "smolvla_3090": (405.2, 20, 21),
    "pi0_b100": (3.2, 20, None),
    "pi0_4090_modelled": (31.1, 20, None),
    "pi0_thor": (52.6, 20, None),
    "pi0_cloud_wifi7": (8.4, 20, None),
    "pi0_cloud_5g": (27.8, 20, None),
    "pi0_cloud_4g": (73.0, 20, None),
    "pi0_cloud_4g_slow": (273.4, 20, None),
    "vlash_5070": (64.1, 20, None),
    "vlash_4090": (36.1, 20, None),
    "vlash_5090": (30.4, 20, None),
    "openvla_4090": (166.7, 20, None),
    "openvla_oft_4090": (76.9, 20, None),
    "pi0_4090": (106.5, 20, None),
    "pi05_4090": (103.0, 20, None),
    "alpamayo_rtx6000": (99.0, 100, 1),
    "fastslow_7b_carla": (250.0, 50, None),
    "lerobot_pathological": (370.0, 1000 / 30, 12),
}


def _timing(name: str) -> Timing:
    return make_timing(component("timing", name))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_adds_up_to_the_published_mean(name: str) -> None:
    total_ms, period_ms, delay_ticks = PUBLISHED[name]
    timing = _timing(name)
    assert timing.name == name
    assert timing.mode is Mode.MODELLED
    nominal_ms = timing.nominal_ns(SensorKind) * 1e-6
    assert nominal_ms == pytest.approx(total_ms, abs=0.05)
    if delay_ticks is not None:
        assert math.ceil(nominal_ms / period_ms) == delay_ticks


def test_every_preset_is_above_and_has_its_source() -> None:
    assert set(choices("timing")) == set(PUBLISHED) | {"measured", "replay"}
    for name in choices("timing"):
        assert len(description("timing", name).split()) > 5, name
    unsourced = {"zero", "constant", "measured", "replay"}
    for name in set(PUBLISHED) - unsourced:
        source = _timing(name).source
        assert source == description("timing", name)
        assert "arXiv 2" in source or "huggingface/lerobot" in source, name


@pytest.mark.parametrize(
    ("name", "strategy", "published_ms"),
    [
        # arXiv 2506.07339
        ("pi05_4090_sync", "naive_async", 76.0),
        ("pi05_4090_sync", "rtc", 97.0),
        # arXiv 2512.05964
        ("pi06_h100_remote", "prefix", 108.0),
        ("pi06_h100_remote", "rtc", 135.0),
        # arXiv 2605.08168
        ("smolvla_3090", "naive_async", 405.2),
        ("smolvla_3090", "rtc", 469.7),
        ("smolvla_3090", "prefix", 402.7),
        ("smolvla_3090", "correction", 412.4),
    ],
)
def test_what_a_strategy_costs_is_what_was_published(name: str, strategy: str, published_ms: float) -> None:
    inference_ms = _timing(name).inference_mean_ns(Call.POLICY, strategy) * 1e-6
    assert inference_ms == pytest.approx(published_ms, rel=2e-3)


def test_the_split_model_has_its_two_periods() -> None:
    timing = _timing("fastslow_7b_carla")
    assert timing.inference_mean_ns(Call.CONTEXT) == 200e6
    assert timing.inference_mean_ns(Call.EXPERT) == 50e6


def test_the_pathological_preset_charges_a_cold_start() -> None:
    assert _timing("lerobot_pathological").first_chunk is FirstChunk.CHARGED


def test_the_spread_of_the_latency_table_is_in_the_presets() -> None:
    """arXiv 2506.07339, latency table: standard deviations of network and resize, static and mobile."""
    published = {
        ("pi05_4090_static", "downlink"): 2.39,
        ("pi05_4090_static", "preprocess"): 0.27,
        ("pi05_4090_mobile", "downlink"): 3.12,
        ("pi05_4090_mobile", "preprocess"): 5.00,
    }
    for (name, key), sd_ms in published.items():
        config = component("timing", name).config[key]
        variance = math.exp(config["sigma"] ** 2) - 1
        mean_ms = config["median_ms"] * math.exp(config["sigma"] ** 2 / 2)
        assert mean_ms * math.sqrt(variance) == pytest.approx(sd_ms, rel=0.03), (name, key)
