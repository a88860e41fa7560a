"""The training stream: endless batches of cuts, a pure function of seed, epoch, world size and rank."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

from lhotse import CutSet
from lhotse.cut import Cut
from lhotse.dataset.sampling.dynamic_bucketing import DynamicBucketingSampler, estimate_duration_buckets

from allinone.data.chance import draw

_BUFFER = 20_000


@dataclass(frozen=True)
class Position:
    """A place in the stream.

    Attributes:
        consumed: batches before it, since the start of the training.
        epoch: the epoch it lies in.
        epoch_start: batches before that epoch.

    Raises:
        ValueError: if the numbers do not fit each other.
    """

    consumed: int = 0
    epoch: int = 0
    epoch_start: int = 0

    def __post_init__(self) -> None:
        if not (self.epoch >= 0 <= self.epoch_start <= self.consumed):
            raise ValueError(
                "a position in the training stream requires 0 <= epoch_start <= consumed and epoch >= 0, "
                f"found {asdict(self)}; resume from an intact checkpoint"
            )


class TrainingStream:
    """Iterating yields ``(epoch, CutSet)`` without end, from any batch on.

    Each epoch is a new lhotse ``DynamicBucketingSampler`` over all cuts. Speed factors are chosen before it, from
    (seed, epoch, cut id), so that durations in a batch are true ones; a factor that makes a cut unusable is replaced
    by 1. All ranks yield equally many batches: rank r of n takes batches r, r + n, ... of one common order.

    To resume at batch n, keep ``position(n)`` and start a new stream there: it replays the plan (not the audio) of at
    most one epoch.

    Args:
        cuts: the training data.
        batch_seconds: audio seconds of a batch at most, after speed perturbation.
        num_buckets: how many groups of similar duration batches are drawn from.
        speed_factors: speeds to choose from; empty to leave them all as they are.
        seed, world_size, rank: what the order depends on.
        start: where to begin.
        fits: whether a cut may have a speed factor; all by default.

    Raises:
        ValueError: if there are no cuts, or a setting is out of range.
    """

    def __init__(
        self,
        cuts: Sequence[Cut],
        batch_seconds: float,
        num_buckets: int = 10,
        speed_factors: Sequence[float] = (),
        seed: int = 0,
        world_size: int = 1,
        rank: int = 0,
        start: Position | None = None,
        fits: Callable[[Cut, float], bool] | None = None,
    ) -> None:
        if not cuts:
            raise ValueError("training requires utterances, found none; see the data report for what was skipped")
        if batch_seconds <= 0 or num_buckets < 2 or not 0 <= rank < world_size:
            raise ValueError(
                "the training stream requires batch_seconds > 0, num_buckets >= 2 and 0 <= rank < world_size, found "
                f"{batch_seconds}, {num_buckets}, rank {rank} of {world_size}; correct the setting"
            )
        self.cuts = cuts
        self.batch_seconds = batch_seconds
        self.speed_factors = tuple(speed_factors)
        self.seed, self.world_size, self.rank = seed, world_size, rank
        self.start = start or Position()
        self.fits = fits
        self.bins = _bins(cuts, num_buckets)
        mean = statistics.fmean(cut.duration for cut in cuts)
        self.buffer_size = max(_BUFFER, round(4 * (len(self.bins) + 1) * batch_seconds / mean))
        self.epochs = [(self.start.epoch_start, self.start.epoch)]

    def __iter__(self) -> Iterator[tuple[int, CutSet]]:
        number, epoch = self.start.epoch_start, self.start.epoch
        self.epochs = [(number, epoch)]
        while True:
            for cuts in self._epoch(epoch):
                if number >= self.start.consumed:
                    yield epoch, cuts
                number += 1
            epoch += 1
            self.epochs.append((number, epoch))

    def position(self, consumed: int) -> Position:
        """Where batch number ``consumed`` lies; batches that loader workers have fetched ahead do not count.

        Raises:
            ValueError: if this stream began behind it.
        """
        started = [(start, epoch) for start, epoch in self.epochs if start <= consumed]
        if not started:
            raise ValueError(
                f"a position requires a batch that this stream has reached, found {consumed} in a stream that began at "
                f"{self.start}; count consumed batches from the start of the training"
            )
        epoch_start, epoch = started[-1]
        return Position(consumed, epoch, epoch_start)

    def _epoch(self, epoch: int) -> DynamicBucketingSampler:
        return DynamicBucketingSampler(
            _Perturbed(self, epoch),
            max_duration=self.batch_seconds,
            shuffle=True,
            drop_last=False,
            duration_bins=self.bins,
            buffer_size=self.buffer_size,
            world_size=self.world_size,
            rank=self.rank,
            seed=draw("order", self.seed, epoch) % 2**31,
            sync_buckets=True,  # lhotse 1.33 ends an epoch early without, when it draws an empty bucket
        )

    def factor(self, cut: Cut, epoch: int) -> float:
        """The speed factor of a cut in an epoch."""
        if not self.speed_factors:
            return 1.0
        factor = self.speed_factors[draw("speed", self.seed, epoch, cut.id) % len(self.speed_factors)]
        return factor if self.fits is None or self.fits(cut, factor) else 1.0


@dataclass(frozen=True)
class _Perturbed:
    """The cuts of one epoch at their speeds, made while they are iterated."""

    stream: TrainingStream
    epoch: int

    def __iter__(self) -> Iterator[Cut]:
        for cut in self.stream.cuts:
            factor = self.stream.factor(cut, self.epoch)
            yield cut if factor == 1.0 else cut.perturb_speed(factor, affix_id=False)


def _bins(cuts: Sequence[Cut], num_buckets: int) -> list[float]:
    """Durations in seconds between buckets that hold about equally much audio."""
    longest = max(cut.duration for cut in cuts)
    if len(cuts) < num_buckets:
        return [longest]
    return [float(edge) for edge in estimate_duration_buckets(cuts, num_buckets)] or [longest]
