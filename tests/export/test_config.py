from __future__ import annotations

import pytest
from emotion2vec_export.config import parse_conv_spec, parse_model_config
from emotion2vec_export.errors import ExportError
from emotion2vec_export.synthetic import SIZES, model_options
from hypothesis import given
from hypothesis import strategies as st

FUNASR_SPEC = "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] + [(512,2,2)]"

triples = st.tuples(*[st.integers(1, 9)] * 3)
terms = st.tuples(st.lists(triples, min_size=1, max_size=3), st.integers(1, 4))


@given(st.lists(terms, min_size=1, max_size=4))
def test_a_conv_spec_means_what_python_makes_of_it(terms) -> None:
    spec = " + ".join(f"{layers} * {times}" for layers, times in terms)
    assert parse_conv_spec(spec) == eval(spec)


@pytest.mark.parametrize(
    "spec",
    [
        "__import__('os').system('true')",
        "[(512, 10, 5)] if 1 else []",
        "[(512, 10, 5)] * 10**9",
        "[x for x in ()]",
        "[(1, 2, 3)] - [(1, 2, 3)]",
        "(" * 500,
        "",
    ],
)
def test_a_conv_spec_can_run_no_code(spec: str) -> None:
    with pytest.raises(ValueError, match="must be a list"):
        parse_conv_spec(spec)


def test_hop_and_field_follow_from_the_convolutions() -> None:
    audio = parse_model_config(model_options(SIZES["large"])).audio
    assert (audio.frame_hop, audio.frame_field, audio.conv_pos_kernel) == (320, 400, 19)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("learned_alibi", True, "learned_alibi is not supported"),
        ("extractor_mode", "group_norm", "extractor_mode"),
        ("feature_encoder_spec", "exit()", "feature_encoder_spec"),
        ("feature_encoder_spec", "[(512, 10)]", "feature_encoder_spec"),
        ("num_alibi_heads", 32, "num_alibi_heads exceeds"),
        ("conv_pos_depth", 0, "conv_pos_depth"),
        ("num_heads", 7, "no multiple of num_heads"),
        ("normalize", "${oc.env:HOME}", "normalize"),
        ("embed_dim", None, "embed_dim"),
    ],
)
def test_what_is_not_supported_is_named(option: str, value: object, message: str) -> None:
    options = model_options(SIZES["tiny"])
    audio = options["modalities"]["audio"]
    (audio if option in audio else options)[option] = value
    with pytest.raises(ExportError, match=message):
        parse_model_config(options)


def test_a_missing_option_is_named() -> None:
    options = model_options(SIZES["tiny"])
    del options["modalities"]["audio"]["conv_pos_width"]
    with pytest.raises(ExportError, match=r"model_conf\.modalities\.audio\.conv_pos_width"):
        parse_model_config(options)
    with pytest.raises(ExportError, match="model_conf"):
        parse_model_config(None)
