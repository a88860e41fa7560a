"""Elastic modules: an ordinary module, run with fewer and rounded weights by choice of the caller."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from allinone.layers.axes import Axis
from allinone.layers.input_scales import InputScales
from allinone.layers.pruning import Pruning, linear_weights
from allinone.quantization import NESTED_BITS, Activations, Quantised, Quantizer, grouped, narrow
from allinone.sparsity import Kept, masked, survival_levels
from allinone.subnet import FULL_PRECISION, LayerConfig

NO_BUFFERS: Mapping[str, Tensor] = MappingProxyType({})


class Elastic(nn.Module):
    """Runs a module with the *effective weights* of a layer configuration: quantise(mask(slice(weight))).

    The module itself is ordinary: it knows nothing of sub-networks, and the same code computes with the effective
    weights here and with its own weights after extraction. A sub-network owns no weights: it is a narrow and coarse
    view of the largest one.

    Matrices, that is parameters of two or more dimensions, are quantised; biases and norms are not. The weights of
    linear maps can be pruned, too, and are so before they are quantised: a pruned weight falls on the integer zero.

    A unit that a narrow member lacks leaves what it adds on average behind, in the bias of what it feeds (mean
    replacement pruning, Evci et al. 2018): ``bias + weight[:, kept:] @ mean[kept:]``, for means that
    :meth:`take_over_mean` was told. The largest member has nothing to make up for. Gradients flow into the bias alone.

    The inputs of linear maps are rounded wherever their weights are, if ``activations`` says how.

    Buffers, that is statistics of a batch norm, fit one member each: the module is left with none of its own, and the
    caller hands in the member's.

    Args:
        module: the layer with all its units and heads.
        axes: for each parameter of which a smaller member has only a part, along which dimension.
        quantizer: how matrices are rounded.
        bits: the bit-widths that will be asked for; full precision needs no entry.
        first_scales: whether scales are set from the weights at once, which takes longer than to make the weights; if
            not, they are to be loaded, or set by :meth:`initialise_scales`.
        pruning: how weights are dropped; None keeps all.
        activations: how the inputs of linear maps are rounded; None leaves them as they are.

    Attributes:
        inputs: the scales by which they are.
    """

    def __init__(
        self,
        module: nn.Module,
        axes: Mapping[str, Axis],
        quantizer: Quantizer,
        bits: tuple[int, ...],
        first_scales: bool = True,
        pruning: Pruning | None = None,
        activations: Activations | None = None,
    ) -> None:
        super().__init__()
        self.module = module
        self.axes = dict(axes)
        self.quantizer = quantizer
        self.bits = tuple(width for width in sorted(bits) if width < FULL_PRECISION)
        self.buffer_names = tuple(name for name, _ in module.named_buffers())
        for name in self.buffer_names:
            part, _, buffer = name.rpartition(".")
            setattr(module.get_submodule(part), buffer, None)
        self.means = nn.Module()
        names = dict(module.named_parameters())
        biases = {name: f"{name.removesuffix('weight')}bias" for name, axis in self.axes.items() if axis.dim == 1}
        self.makes_up_for = {bias: name for name, bias in biases.items() if bias in names}
        for name in self.makes_up_for.values():
            self.means.register_buffer(_key(name), names[name].new_zeros(names[name].shape[1]))
        self.register_load_state_dict_pre_hook(_without_means)
        self.pruning = pruning
        self.prunable = () if pruning is None else linear_weights(module)
        self.levels = nn.Module()
        for name in self.prunable:
            self.levels.register_buffer(_key(name), torch.zeros_like(names[name], dtype=torch.uint8))
        self.log_scales = nn.ParameterDict()
        for name, weight in module.named_parameters() if self.bits else ():
            if weight.dim() > 1 and (shape := quantizer.log_scale_shape(weight.shape)) is not None:
                rows = 1 if quantizer.nested else len(self.bits)
                self.log_scales[_key(name)] = nn.Parameter(weight.new_zeros((rows, *shape)))
        self.inputs = InputScales(module, activations if self.bits else None)
        if first_scales:
            self.initialise_scales()
            self.initialise_levels()

    @torch.no_grad()
    def initialise_scales(self) -> None:
        """Sets all scales from the weights as they are now; to be called after other weights were loaded."""
        for name, weight in self.module.named_parameters():
            if _key(name) in self.log_scales:
                scales = self.quantizer.initial_log_scales(weight, self.bits)
                assert scales is not None
                self.log_scales[_key(name)].copy_(scales)

    def initialise_levels(self) -> None:
        """Sets all survival levels by the magnitudes of the weights as they are now."""
        self.take_levels({name: self.module.get_parameter(name).detach().abs() for name in self.prunable})

    @torch.no_grad()
    def take_levels(self, scores: Mapping[str, Tensor]) -> None:
        """Sets survival levels.

        Args:
            scores: how much each weight matters, under the module's own names of :attr:`prunable` weights, and in their
                shapes.

        Raises:
            ValueError: as :func:`allinone.sparsity.survival_levels`.
        """
        for name, score in scores.items():
            assert self.pruning is not None
            axis = self.axes.get(name)
            dim, ends = (0, ()) if axis is None else (axis.dim, self.pruning.ends(axis))
            level = survival_levels(score, self.pruning.pattern, dim, ends)
            self.levels.get_buffer(_key(name)).copy_(level)

    def kept(self, config: LayerConfig) -> dict[str, Kept]:
        """Which weights a layer configuration keeps, of all that it prunes, under the module's own names."""
        if not config.threshold:
            return {}
        assert self.pruning is not None
        pattern, threshold = self.pruning.pattern, config.threshold
        return {name: Kept(self._levels(name, config) >= threshold, pattern, threshold) for name in self.prunable}

    @torch.no_grad()
    def take_over_scale(self, name: str, stored: Quantised) -> None:
        """Sets the scale of one weight and precision to that of a stored weight, where this module learns one."""
        if _key(name) in self.log_scales and stored.bits in self.bits:
            row = self.log_scales[_key(name)][self._row(stored.bits)]
            if row.shape == stored.scale.shape and _share_alike(self.module.get_parameter(name), stored):
                finer = NESTED_BITS - stored.bits if self.quantizer.nested else 0
                row.copy_((stored.scale * 2.0**-finer).log())

    @torch.no_grad()
    def take_over_mean(self, name: str, mean: Tensor) -> None:
        """Sets what the inputs of a weight are on average, ``(inputs,)``, where members have fewer of them."""
        if name in self.makes_up_for.values():
            buffer = self.means.get_buffer(_key(name))
            buffer.copy_(mean[: len(buffer)])

    def mean(self, name: str) -> Tensor | None:
        """What :meth:`take_over_mean` was told, zeros by default; None if no member has fewer inputs."""
        return self.means.get_buffer(_key(name)) if name in self.makes_up_for.values() else None

    def forward(self, config: LayerConfig, *inputs: Any, buffers: Mapping[str, Tensor] = NO_BUFFERS) -> Any:
        """The module's own forward, with effective weights and a member's buffers."""
        return self.run({**self.effective(config), **buffers}, *inputs)

    def effective(self, config: LayerConfig) -> dict[str, Tensor]:
        """The effective weights and input scales, under the module's own names, for who needs them more than once."""
        weights = {name: self._effective(name, weight, config) for name, weight in self.module.named_parameters()}
        return weights | self._input_scales(config)

    def run(self, weights: Mapping[str, Tensor], *inputs: Any) -> Any:
        """The module's own forward, with these weights."""
        return functional_call(self.module, dict(weights), inputs)

    def weights(self, config: LayerConfig, buffers: Mapping[str, Tensor] = NO_BUFFERS) -> dict[str, Tensor | Quantised]:
        """The effective weights (quantised ones as integers and scales) and buffers, under the module's own names."""
        with torch.no_grad():
            weights = {name: self._stored(name, weight, config) for name, weight in self.module.named_parameters()}
            return weights | self._input_scales(config) | {name: buffer.clone() for name, buffer in buffers.items()}

    def _effective(self, name: str, weight: Tensor, config: LayerConfig) -> Tensor:
        weight = self._pruned(name, self._slice(name, weight, config), config)
        if weight.dim() == 1 or config.bits == FULL_PRECISION:
            return weight
        quantizer = grouped(self.quantizer, config.inputs_per_scale)
        return quantizer.fake_quantise(weight, self._log_scale(name, weight, config.bits), config.bits)

    def _stored(self, name: str, weight: Tensor, config: LayerConfig) -> Tensor | Quantised:
        weight = self._pruned(name, self._slice(name, weight, config), config)
        if weight.dim() == 1 or config.bits == FULL_PRECISION:
            return weight.clone(memory_format=torch.contiguous_format)
        quantizer = grouped(self.quantizer, config.inputs_per_scale)
        return quantizer.quantise(weight, self._log_scale(name, weight, config.bits), config.bits)

    def _input_scales(self, config: LayerConfig) -> dict[str, Tensor]:
        return self.inputs.of(config.bits, next(self.module.parameters())) if self.inputs.names else {}

    def _slice(self, name: str, weight: Tensor, config: LayerConfig) -> Tensor:
        axis = self.axes.get(name)
        if axis is not None and (kept := axis.kept(config)) is not None:
            return weight.narrow(axis.dim, 0, kept)
        if (feeding := self.makes_up_for.get(name)) is None or (kept := self.axes[feeding].kept(config)) is None:
            return weight
        mean = self.means.get_buffer(_key(feeding))
        missing = mean * (torch.arange(len(mean), device=mean.device) >= kept)  # no slice, which would be empty for all
        return weight + (self.module.get_parameter(feeding).detach() * missing).sum(1)  # no product in bfloat16

    def _pruned(self, name: str, weight: Tensor, config: LayerConfig) -> Tensor:
        """An already cut weight, with zeros in place of what a sparse member lacks."""
        if not config.threshold or self.pruning is None or name not in self.prunable:
            return weight
        return masked(weight, self._levels(name, config), config.threshold, self.pruning.straight_through)

    def _levels(self, name: str, config: LayerConfig) -> Tensor:
        """The survival levels of a weight, cut as the weight is."""
        levels, axis = self.levels.get_buffer(_key(name)), self.axes.get(name)
        kept = None if axis is None else axis.kept(config)
        return levels if axis is None or kept is None else levels.narrow(axis.dim, 0, kept)

    def _log_scale(self, name: str, weight: Tensor, bits: int) -> Tensor | None:
        """The row of learned scales for that precision, cut to the size of the (already cut) weight."""
        if _key(name) not in self.log_scales:
            return None
        rows = self.log_scales[_key(name)]
        return narrow(rows[self._row(bits)], self.quantizer.granularity.scale_shape(weight.shape))

    def _row(self, bits: int) -> int:
        """Of the learned scales, which one is for that precision."""
        return 0 if self.quantizer.nested else self.bits.index(bits)


def beside(config: LayerConfig) -> LayerConfig:
    """That of a layer for a part beside the layers, whose scales are as the quantiser of the run says."""
    return config if config.inputs_per_scale is None else replace(config, inputs_per_scale=None)


def _share_alike(weight: Tensor, stored: Quantised) -> bool:
    """Whether groups of a weight are those of a stored one, which may have more entries where one scale covers all."""
    sizes = zip(weight.shape, stored.integers.shape, stored.scale.shape, strict=True)
    return all(scales == 1 or own == theirs for own, theirs, scales in sizes)


def _without_means(elastic: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Adds means to a state that was written before there were any: nothing was made up for."""
    assert isinstance(elastic, Elastic)
    for name, buffer in elastic.means.named_buffers():
        state.setdefault(f"{prefix}means.{name}", torch.zeros_like(buffer))


def _key(name: str) -> str:
    """A parameter's name as a key of a ParameterDict, which bears no dots."""
    return name.replace(".", "/")
