"""The part of FunASR's `config.yaml` that shapes inference. Training options are ignored.

FunASR evaluates `feature_encoder_spec` as Python; here it is parsed as literals with `+` and `*`,
so that a checkpoint can't run code.
"""

from __future__ import annotations

import ast
import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from emotion2vec_export.errors import ExportError

MODEL_CLASS = "Emotion2vec"
_MAX_CONV_LAYERS = 64
_SPEC_ERROR = (
    "must be a list of (channels, kernel, stride), such as '[(512, 10, 5)] + [(512, 3, 2)] * 4'"
)


def parse_conv_spec(spec: object) -> object:
    """Evaluates a fairseq convolution spec such as `[(512, 10, 5)] + [(512, 3, 2)] * 4`.

    Only integers, tuples, lists, `list + list` and `list * int` are understood.

    Raises:
        ValueError: anything else is in it.
    """
    if not isinstance(spec, str):
        return spec
    try:
        return _evaluate(ast.parse(spec.strip(), mode="eval").body)
    except (SyntaxError, RecursionError) as error:
        raise ValueError(_SPEC_ERROR) from error


def _evaluate(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.Tuple(elts=elements):
            return tuple(_evaluate(element) for element in elements)
        case ast.List(elts=elements):
            return [_evaluate(element) for element in elements]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _list(_evaluate(left)) + _list(_evaluate(right))
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            first, second = _evaluate(left), _evaluate(right)
            items, times = (second, first) if isinstance(first, int) else (first, second)
            if isinstance(times, int) and 0 <= times <= _MAX_CONV_LAYERS:
                return (_list(items) * times)[: _MAX_CONV_LAYERS + 1]
    raise ValueError(_SPEC_ERROR)


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(_SPEC_ERROR)
    return value


class ConvLayer(BaseModel):
    """One strided convolution of the front end."""

    model_config = ConfigDict(frozen=True)

    channels: int = Field(gt=0)
    kernel: int = Field(gt=0)
    stride: int = Field(gt=0)

    @model_validator(mode="before")
    @classmethod
    def _from_tuple(cls, value: object) -> object:
        if isinstance(value, tuple | list) and len(value) == 3:
            return dict(zip(("channels", "kernel", "stride"), value, strict=True))
        return value


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class AudioConfig(_Options):
    """`model_conf.modalities.audio`: front end, positional convolutions, ALiBi and prenet."""

    feature_encoder_spec: Annotated[
        tuple[ConvLayer, ...],
        BeforeValidator(parse_conv_spec),
        Field(min_length=1, max_length=_MAX_CONV_LAYERS),
    ]
    extractor_mode: Literal["default", "layer_norm"]
    conv_pos_width: int = Field(gt=0)
    conv_pos_groups: int = Field(gt=0)
    conv_pos_depth: int = Field(gt=0)
    conv_pos_pre_ln: bool
    prenet_depth: int = Field(ge=0)
    model_depth: int = Field(ge=0)
    num_extra_tokens: int = Field(ge=0)
    use_alibi_encoder: bool
    learned_alibi: bool
    learned_alibi_scale_per_head: bool
    learned_alibi_scale_per_layer: bool
    num_alibi_heads: int = Field(gt=0)

    @property
    def conv_pos_kernel(self) -> int:
        return max(3, self.conv_pos_width // self.conv_pos_depth)

    @property
    def frame_hop(self) -> int:
        """Samples from one frame to the next."""
        return math.prod(layer.stride for layer in self.feature_encoder_spec)

    @property
    def frame_field(self) -> int:
        """Samples that one frame sees before the positional convolutions."""
        field, hop = 1, 1
        for layer in self.feature_encoder_spec:
            field += (layer.kernel - 1) * hop
            hop *= layer.stride
        return field


class _Modalities(_Options):
    audio: AudioConfig


class ModelConfig(_Options):
    """`model_conf`: the transformer, and how the waveform is normalised."""

    depth: int = Field(ge=0)
    embed_dim: int = Field(gt=0)
    num_heads: int = Field(gt=0)
    mlp_ratio: float = Field(gt=0)
    norm_eps: float = Field(gt=0)
    norm_affine: bool
    layer_norm_first: bool
    normalize: bool
    modalities: _Modalities

    @property
    def audio(self) -> AudioConfig:
        return self.modalities.audio

    @property
    def layers(self) -> int:
        """Transformer blocks in all: prenet and main."""
        return self.audio.prenet_depth + self.depth

    @model_validator(mode="after")
    def _supported(self) -> ModelConfig:
        audio = self.audio
        if self.embed_dim % self.num_heads:
            raise ValueError(f"embed_dim {self.embed_dim} is no multiple of num_heads")
        if self.embed_dim % audio.conv_pos_groups:
            raise ValueError(f"embed_dim {self.embed_dim} is no multiple of conv_pos_groups")
        if audio.use_alibi_encoder:
            if audio.learned_alibi:
                raise ValueError("learned_alibi is not supported (nor can FunASR run it)")
            if audio.num_alibi_heads > self.num_heads:
                raise ValueError(f"num_alibi_heads exceeds num_heads {self.num_heads}")
            if audio.learned_alibi_scale_per_layer and audio.model_depth != self.depth:
                raise ValueError(f"model_depth {audio.model_depth} must equal depth {self.depth}")
        return self


def parse_model_config(options: object) -> ModelConfig:
    """Validates `model_conf`.

    Raises:
        ExportError: an option is missing, malformed, or asks for what is not supported.
    """
    try:
        return ModelConfig.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(("model_conf", *(str(part) for part in first["loc"])))
        raise ExportError(f"config.yaml: {where}: {first['msg']}") from error
