"""AdamW whose moments are shared out among processes."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor, nn

_MOMENTS = ("exp_avg", "exp_avg_sq")


def shares(sizes: Sequence[int], processes: int) -> list[int]:
    """Which process gets which weight: the largest first, each to the process that has least.

    Args:
        sizes: of the weights.
        processes: how many there are.

    Returns:
        For each weight the number of its process.
    """
    loads, owners = [0] * processes, [0] * len(sizes)
    for index in sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True):
        owners[index] = min(range(processes), key=loads.__getitem__)
        loads[owners[index]] += sizes[index]
    return owners


class ShardedAdamW(torch.optim.Optimizer):
    """AdamW of which each process updates its share of the weights for all (ZeRO, Rajbhandari et al. 2020, stage 1).

    It keeps the moments of that share alone. The state that it saves is that of one AdamW of all weights: either can
    load what the other has saved.

    PyTorch's own ZeroRedundancyOptimizer keeps loaded moments twice, puts a loaded count of steps on the CPU, where the
    fused AdamW of a GPU does not want it, and to save sends every process's moments to the memory of all.

    Args:
        groups: all trained weights, in groups with their settings.
        settings: of AdamW.

    Attributes:
        own: the AdamW of this process's share.
    """

    def __init__(self, groups: list[dict[str, Any]], **settings: Any) -> None:
        super().__init__(groups, settings)
        self._rank = distributed.get_rank()
        self._owners = shares([weight.numel() for weight in self._weights()], distributed.get_world_size())
        owner = dict(zip(self._weights(), self._owners, strict=True))
        self.own = torch.optim.AdamW(
            [
                {**group, "params": [weight for weight in group["params"] if owner[weight] == self._rank]}
                for group in self.param_groups
            ],
            **settings,
        )
        _copy_settings(self.own.param_groups, self.param_groups)
        self.state = self.own.state
        self._gathered: dict[int, dict[str, Tensor]] | None = None

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Updates this process's share, then takes over what the others have updated."""
        result = None
        if closure is not None:
            with torch.enable_grad():
                result = closure()
        _copy_settings(self.param_groups, self.own.param_groups)  # a schedule sets the rate there
        self.own.step()
        sent = [
            distributed.broadcast(weight.detach(), owner, async_op=True)
            for weight, owner in zip(self._weights(), self._owners, strict=True)
        ]
        for work in sent:
            assert work is not None
            work.wait()
        return result

    def consolidate_state_dict(self) -> None:
        """Brings all moments to the first process, one by one; Lightning calls it on all of them before it saves."""
        gathered: dict[int, dict[str, Tensor]] = {}
        for index, (weight, owner) in enumerate(zip(self._weights(), self._owners, strict=True)):
            if self._rank not in (0, owner):
                continue
            state = self.state.get(weight, {}) if owner == self._rank else _receive(weight, owner)
            if owner and owner == self._rank:
                _send(weight, state)
            elif state:
                gathered[index] = state
        self._gathered = gathered

    def state_dict(self) -> dict[str, Any]:
        """The state of all weights, once it has been consolidated; of the first process alone."""
        assert self._gathered is not None, "the state must be consolidated first"
        gathered, self._gathered = self._gathered, None  # it is large
        return {**super().state_dict(), "state": gathered}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes this process's share of the state of all weights."""
        share = {index: state for index, state in state_dict["state"].items() if self._owners[index] == self._rank}
        super().load_state_dict({**state_dict, "state": share})
        self.own.state = self.state

    def _weights(self) -> list[nn.Parameter]:
        return [weight for group in self.param_groups for weight in group["params"]]


def _copy_settings(source: list[dict[str, Any]], target: list[dict[str, Any]]) -> None:
    for one, other in zip(source, target, strict=True):
        other.update({name: value for name, value in one.items() if name != "params"})


def _send(weight: Tensor, state: dict[str, Tensor]) -> None:
    """Sends the count of steps, 0 before the first, and then the moments."""
    distributed.send(state.get("step", weight.new_zeros(())).to(weight.device), 0)
    for name in _MOMENTS if state else ():
        distributed.send(state[name], 0)


def _receive(weight: Tensor, owner: int) -> dict[str, Tensor]:
    step = weight.new_zeros(())
    distributed.recv(step, owner)
    if not step:
        return {}
    state = {"step": step}
    for name in _MOMENTS:
        moment = torch.empty_like(weight, requires_grad=False)
        distributed.recv(moment, owner)
        state[name] = moment.cpu()
    return state
