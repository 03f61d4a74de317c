"""Codecs, tokenizer, prompts and masks against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from simloop.errors import ConfigurationError, MissingWeightsError
from simloop_agents.unified.auxiliary import vehicle_grid
from simloop_agents.unified.backbone import Backbone, tiny_vlm_config
from simloop_agents.unified.codecs import CAR, LAYOUTS, TWO_ARM, Codec
from simloop_agents.unified.config import HORIZON, BackboneConfig, UnifiedConfig
from simloop_agents.unified.flow_expert import NUM_LEADING, row_mask
from simloop_agents.unified.model import UnifiedModel
from simloop_agents.unified.prompt import normalised, patches
from simloop_agents.unified.tokenizer import WordTokenizer

from .conftest import STATE_SIZES, make_set, tiny_config


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.action_space)
def test_decoding_inverts_encoding(layout):
    draws = np.random.default_rng(0)
    states = draws.normal(size=(50, STATE_SIZES[layout.action_space]))
    if layout is CAR:
        states[:, 0] += 20.0
    chunks = np.clip(draws.normal(size=(50, HORIZON, len(layout.dimensions))), -0.9, 0.9)
    chunks[..., -1] = np.abs(chunks[..., -1])
    codec = Codec.fitted(layout, chunks, states)
    coded = codec.encode_actions(chunks, states, 32)
    assert coded.shape == (50, HORIZON, 32)
    assert not coded[..., len(layout.dimensions) :].any()
    np.testing.assert_allclose(codec.decode_actions(coded, states), chunks, atol=1e-12)
    np.testing.assert_allclose(coded[..., : len(layout.dimensions)].mean(axis=0), 0.0, atol=1e-9)


def test_driving_on_at_constant_speed_is_coded_as_zero():
    time_s = 0.05 * np.arange(1, HORIZON + 1)
    chunk = np.stack([17.0 * time_s, 0.0 * time_s, 0.0 * time_s, np.full(HORIZON, 17.0)], axis=1)
    coded = Codec.neutral(CAR).encode_actions(chunk[None], np.array([[17.0, 0.0, 0.0, 0.0]]), 32)
    np.testing.assert_allclose(coded, 0.0, atol=1e-12)


def test_a_plan_ahead_of_the_car_is_coded_where_the_car_is():
    """Committed waypoints 0.8 m ahead and 0.1 m to the left are seen as if they started at the car."""
    codec, states = Codec.neutral(CAR), np.array([[20.0, 0.0, 0.0, 0.0]] * 2)
    on_time = np.zeros((2, HORIZON, 4))
    on_time[..., 0] = 20.0 * 0.05 * np.arange(1, HORIZON + 1)
    on_time[..., 3] = 20.0
    drifted = on_time + np.array([0.8, 0.1, 0.0, 0.0])
    offsets = codec.plan_offsets(drifted, np.array([4, 0]), states)
    np.testing.assert_allclose(offsets[:, 0], [[0.8, 0.1, 0.0, 0.0], [0.0] * 4], atol=1e-12)
    coded = codec.encode_actions(drifted - offsets, states, 32)
    np.testing.assert_allclose(coded[0], 0.0, atol=1e-12)
    np.testing.assert_allclose(codec.decode_actions(coded, states, offsets), drifted, atol=1e-12)
    arms = Codec.neutral(TWO_ARM)
    assert not arms.plan_offsets(np.ones((1, HORIZON, 14)), np.array([4]), np.zeros((1, 32))).any()


def test_decoded_actions_stay_within_the_bounds():
    coded = np.full((1, HORIZON, 32), 50.0)
    assert Codec.neutral(TWO_ARM).decode_actions(coded, np.zeros((1, 32))).max() == 1.0
    assert Codec.neutral(CAR).decode_actions(-coded, np.zeros((1, 4)))[..., 3].min() == 0.0


def test_the_row_mask_is_lambda_shaped():
    window, horizon = 2, 5
    mask = row_mask(horizon, window).numpy()
    for i in range(NUM_LEADING + horizon):
        for j in range(NUM_LEADING + horizon):
            if i < NUM_LEADING:
                expected = j <= i
            else:
                expected = j < NUM_LEADING or i - window <= j <= i
            assert mask[i, j] == expected, (i, j)


def test_words_bytes_and_case():
    tokenizer = WordTokenizer.packaged()
    assert tokenizer.encode("Keep your lane.") == tokenizer.encode("keep YOUR lane .")
    assert len(tokenizer.encode("lane")) == 1
    assert tokenizer.encode("ü") == [tokenizer.token_id("<0xC3>"), tokenizer.token_id("<0xBC>")]
    with pytest.raises(ValueError, match="twice"):
        WordTokenizer(["lane", "lane"])


def test_patches_come_in_the_mergers_order():
    """Each run of merge * merge patches is one square of the image, as transformers' image processor cuts them."""
    patch, merge = 2, 2
    frames = torch.arange(2 * 8 * 12, dtype=torch.float32).reshape(1, 2, 8, 12, 1)
    cut = patches(frames, patch, merge)
    assert cut.shape == (4 * 6, 2 * patch * patch)
    expected = []
    for row in range(2):
        for column in range(3):
            for inner_row in range(merge):
                for inner_column in range(merge):
                    top, left = (row * merge + inner_row) * patch, (column * merge + inner_column) * patch
                    expected.append(frames[0, :, top : top + patch, left : left + patch, 0].reshape(-1))
    assert torch.equal(cut, torch.stack(expected))


def test_images_are_resized_to_whole_tokens():
    image = torch.full((1, 2, 100, 150, 3), 128, dtype=torch.uint8)
    out = normalised(image, unit=32, num_channels=5)
    assert out.shape == (1, 2, 96, 160, 5)
    np.testing.assert_allclose(out[..., :3].numpy(), (128 / 255 - 0.45) / 0.25, rtol=1e-5)
    assert (out[0, 0, 0, 0, 3].item(), out[0, 0, -1, -1, 4].item()) == (-1.0, 1.0)


def test_the_folded_patch_embedding_equals_the_convolution():
    backbone = Backbone(tiny_config().backbone, WordTokenizer.packaged())
    embed = backbone.vlm.model.visual.patch_embed
    flat = torch.randn(7, 5 * 2 * 16 * 16, generator=torch.Generator().manual_seed(0))
    convolved = embed.proj(flat.view(7, 5, 2, 16, 16)).view(7, -1)
    torch.testing.assert_close(embed(flat), convolved, rtol=1e-4, atol=1e-4)


def test_the_context_is_the_language_models_own_cache():
    """The expert reads exactly what a plain call of the transformers model leaves in its cache."""
    model = UnifiedModel.seeded(tiny_config(), 0)
    images = torch.zeros((1, 1, 2, 96, 160, 3), dtype=torch.uint8)
    with torch.no_grad():
        cache = model.context("waypoints", images, [[300, 301]], torch.zeros(1, 32))
    assert len(cache.keys) == len(cache.values) == 2
    assert cache.keys[0].shape == (1, 1, cache.is_valid.shape[1], 16)
    assert len(cache.image_index) == 3 * 5
    assert int(cache.is_valid.sum()) == cache.is_valid.shape[1] - (14 - 2)


def test_a_vehicle_ahead_is_marked_where_it_is_seen():
    objects = np.zeros((1, 16, 8))
    objects[0, 0] = [1.0, 20.0, 3.5, 0.0, 15.0, 0.0, 4.5, 1.8]  # a lane to the left
    values, weights = vehicle_grid(objects, np.array([[20.0, 0.0, 0.0, 0.0]]), 16)
    rows, columns = np.nonzero(weights[0, ..., 1])
    assert set(rows) <= {2, 3}
    assert columns.max() < 5
    marked = values[0, rows[0], columns[0]]
    np.testing.assert_allclose(
        marked[1:], [np.log((20.0 - 2.25 - 0.6) / 20.0), 3.5 / 4.0, 5.0 / 4.0], rtol=1e-6
    )


def test_a_published_checkpoint_becomes_the_backbone(tmp_path):
    tokenizer = WordTokenizer.packaged()
    config = BackboneConfig(
        vision_hidden_size=32, vision_depth=1, vision_num_heads=2, vision_intermediate_size=32, patch_size=14,
        has_coordinates=False, text_hidden_size=32, text_depth=2, text_num_heads=2, text_num_key_value_heads=1,
        text_intermediate_size=32,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        published = Qwen2_5_VLForConditionalGeneration(tiny_vlm_config(config, tokenizer))
    published.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
    plain = tiny_config().to_plain()
    plain["backbone"] = {"checkpoint": str(tmp_path), "num_readout_tokens": 2}
    model = UnifiedModel.seeded(UnifiedConfig.from_plain(plain), 0)
    loaded = dict(model.backbone.vlm.named_parameters())
    for name, parameter in published.named_parameters():
        assert torch.equal(parameter, loaded[name]), name
    data = make_set(CAR, 2)
    images = torch.from_numpy(np.stack([data.images, data.images], axis=2))
    with torch.no_grad():
        cache = model.context("waypoints", images, [[300], [300]], torch.zeros(2, 32))
        chunk = model.denoise(
            "waypoints", cache, torch.zeros(2, 32), torch.zeros(2, HORIZON, 32), torch.zeros(2, dtype=torch.int64),
            torch.ones(2, HORIZON, 32),
        )  # fmt: skip
    assert len(cache.image_index) == 3 * 6
    assert torch.isfinite(chunk).all()


def test_a_checkpoint_that_is_not_there_says_so(tmp_path):
    with pytest.raises(MissingWeightsError, match=r"there is no such folder.*hf download"):
        Backbone(BackboneConfig(checkpoint=str(tmp_path / "nowhere")), WordTokenizer.packaged())
    (tmp_path / "config.json").write_text('{"model_type": "qwen2_5_vl", "architectures": ["X"]}')
    with pytest.raises(MissingWeightsError, match="cannot be loaded"):
        Backbone(BackboneConfig(checkpoint=str(tmp_path)), WordTokenizer.packaged())


def test_an_unknown_config_key_is_named():
    with pytest.raises(ConfigurationError, match=r"unknown key 'depht'. Allowed: depth"):
        UnifiedConfig.from_plain({"expert": {"depht": 2}})
