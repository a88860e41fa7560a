"""The data module: from a corpus and its settings to checked, exactly resumable batches."""

import hashlib
import json
import logging
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lhotse import CutSet
from lhotse.cut import Cut
from torch.utils.data import DataLoader

from allinone.data.batch import SAMPLE_RATE, Batch
from allinone.data.corpora import Corpus
from allinone.data.cuts import plan_by_duration, samples_of, text_of
from allinone.data.dataset import SpeechDataset
from allinone.data.fit import Fit
from allinone.data.preparation import Progress, prepare_audio
from allinone.data.report import DataReport
from allinone.data.rows import SPLITS, in_split
from allinone.data.selection import choose, distinct_rows, select_cuts
from allinone.data.stream import Position, TrainingStream
from allinone.text import Normalizer, Tokenizer

CALIBRATION_UTTERANCES = 256  # at 25 frames a second and 3 s each, 19,000 frames for two numbers of a channel

logger = logging.getLogger(__name__)


class SpeechDataModule(lightning.LightningDataModule):
    """Training, dev and test batches of one corpus.

    Use it in this order: ``prepare()`` reads and checks audio and text; a tokenizer is made (``texts("train")`` helps);
    ``check(tokenizer, frames)`` completes the report; then the loaders. The Trainer needs
    ``use_distributed_sampler=False``, because the stream shares batches among ranks itself.

    Args:
        corpus: where utterances come from.
        normalizer: how transcripts become text to learn.
        scoring: what both, such a text and what was heard, are made before errors are counted; None leaves them.
        batch_seconds: audio seconds of a training batch at most (per rank), after speed perturbation.
        eval_batch_seconds: of a dev or test batch, padding included; ``batch_seconds`` by default.
        num_buckets: groups of similar duration that training batches are drawn from.
        speed_factors: speeds of training utterances, chosen per utterance and epoch; empty for none.
        num_workers: processes that load training batches; 0 loads in the training process. The batches are the same.
        seed: of order, speeds and ``Batch.seeds``.
        max_seconds: longer utterances are skipped; so are those longer than a batch.
        dev_share, test_share: sizes of automatic splits, for a corpus without splits.
        cache: folder for decoded audio; None reads the recordings where they are, each time.
        prepare_workers: processes that decode.
        max_bad_share: stop when a larger share of the utterances, 0 .. 1, has to be skipped for any reason.
        train_utterances: train on so many utterances only, chosen by a hash of their ids: to try things out, or to
            bring a new network over the plateau at which CTC begins; None trains on all.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(
        self,
        corpus: Corpus,
        normalizer: Callable[[str], str] | None = None,
        scoring: Callable[[str], str] | None = None,
        batch_seconds: float = 120.0,
        eval_batch_seconds: float | None = None,
        num_buckets: int = 10,
        speed_factors: Sequence[float] = (0.9, 1.0, 1.1),
        num_workers: int = 2,
        seed: int = 0,
        max_seconds: float = 20.0,
        dev_share: float = 0.05,
        test_share: float = 0.05,
        cache: str | None = ".cache/allinone",
        prepare_workers: int = 4,
        max_bad_share: float = 0.05,
        train_utterances: int | None = None,
    ) -> None:
        super().__init__()
        _check_settings(
            batch_seconds=(batch_seconds, batch_seconds > 0),
            speed_factors=(list(speed_factors), all(0.5 <= factor <= 2 for factor in speed_factors)),
            eval_batch_seconds=(eval_batch_seconds, eval_batch_seconds is None or eval_batch_seconds > 0),
            max_seconds=(max_seconds, max_seconds > 0),
            dev_share=(dev_share, dev_share >= 0),
            test_share=(test_share, 0 <= test_share < 1 - dev_share),
            max_bad_share=(max_bad_share, 0 <= max_bad_share <= 1),
            train_utterances=(train_utterances, train_utterances is None or train_utterances > 0),
        )
        self.corpus = corpus
        self.normalizer = normalizer or Normalizer()
        self.scoring = scoring or str  # which leaves a text as it is
        self.batch_seconds = batch_seconds
        self.eval_batch_seconds = eval_batch_seconds or batch_seconds
        self.num_buckets = num_buckets
        self.speed_factors = tuple(float(factor) for factor in speed_factors)
        self.num_workers = num_workers
        self.seed = seed
        self.max_seconds = min(max_seconds, batch_seconds)
        self.dev_share, self.test_share = dev_share, test_share
        self.cache = cache
        self.prepare_workers, self.max_bad_share = prepare_workers, max_bad_share
        self.train_utterances = train_utterances
        self.validated: int | None = None  # utterances of dev that a training is scored on; None stands for all
        self.start = Position()
        self.stream: TrainingStream | None = None
        self.report: DataReport | None = None
        self.cuts: dict[str, list[Cut]] = {split: [] for split in SPLITS}
        self.fit: Fit | None = None

    def prepare(self, progress: Progress | None = None) -> DataReport:
        """Read the corpus, decode what is not decoded yet, and check audio and text.

        Raises:
            ValueError: if the corpus is not as described, or too much of it is bad.
        """
        rows = self.corpus.rows()
        report = DataReport(self.corpus.name, len(rows))
        good = distinct_rows(rows, report)
        prepared = prepare_audio(
            good,
            self.corpus.archive_path,
            None if self.cache is None else Path(self.cache),
            self.prepare_workers,
            progress,
        )
        report.resampled = {rate: count for rate, count in prepared.rates.items() if rate != SAMPLE_RATE}
        report.automatic_splits = not any(row.split for row in good)
        shares = (self.dev_share, self.test_share)
        self.cuts = select_cuts(good, prepared, self.normalizer, self.max_seconds, shares, report)
        self.report = report
        self._count(report)
        report.refuse_if_bad(self.max_bad_share)
        return report

    def check(
        self, tokenizer: Tokenizer, frames: Callable[[int], int], *, ctc: bool = True, most_labels: int | None = None
    ) -> DataReport:
        """Skip what the tokenizer cannot write and the network cannot learn; log and return the full report.

        Args:
            tokenizer: of the network to be trained.
            frames: encoder frames that a number of samples at 16 kHz gives.
            ctc: whether it has a CTC output, which needs a frame for every label.
            most_labels: of a text that its attention decoder can spell; None if there is no limit.

        Raises:
            ValueError: if too much is bad.
        """
        report = self._prepared()
        assert self.fit is None, "check() filters the utterances once"
        self.fit = fit = Fit(tokenizer, frames, self.max_seconds, ctc, most_labels)
        self.cuts = {split: fit.select(cuts, report) for split, cuts in self.cuts.items()}
        report.unknown = fit.unknown
        if self.train_utterances is not None:
            self.cuts["train"] = choose(self.cuts["train"], self.train_utterances)
        self._count(report)
        report.refuse_if_bad(self.max_bad_share)
        logger.info(report.summary())
        return report

    def utterances(self, split: str) -> list[Cut]:
        """Cuts of a split: ``train``, ``dev`` or ``test`` with all its named parts, or one of them, as ``test-other``.

        Raises:
            ValueError: if there are none, with the splits that there are.
        """
        cuts = [cut for name, found in self.cuts.items() if in_split(name, split) for cut in found]
        if not cuts:
            usable = ", ".join(f"{name} {int(kept['lines'])}" for name, kept in self.sizes.items())
            advice = f"name them in the corpus (splits: {', '.join(SPLITS)}), or leave splits out to have them made"
            if self._prepared().automatic_splits:
                advice = "raise dev_share or test_share, or give more data"
            if split not in SPLITS:
                advice = "choose one of these"
            raise ValueError(
                f"this requires utterances in the split {split!r}, found none (usable utterances: {usable}); {advice}"
            )
        return cuts

    def texts(self, split: str) -> list[str]:
        """Normalised transcripts of a split. Raises ValueError if it is empty."""
        return [text_of(cut) for cut in self.utterances(split)]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over ids, texts, splits and lengths in samples of the training data, in hexadecimal."""
        self._prepared()
        lines = [[cut.id, text_of(cut), "train", samples_of(cut)] for cut in self.cuts["train"]]
        return hashlib.sha256(json.dumps(sorted(lines)).encode()).hexdigest()

    @property
    def sizes(self) -> dict[str, dict[str, float]]:
        """Lines and hours of each split."""
        return self._prepared().kept

    def state(self, consumed: int) -> dict[str, int]:
        """Where the training stands after ``consumed`` batches, as plain numbers for a checkpoint."""
        position = self.stream.position(consumed) if self.stream is not None else self.start
        return {"consumed": position.consumed, "epoch": position.epoch, "epoch_start": position.epoch_start}

    def resume(self, state: dict[str, Any]) -> None:
        """Let ``train_dataloader`` begin at a ``state``."""
        self.start = Position(int(state["consumed"]), int(state["epoch"]), int(state["epoch_start"]))

    def train_dataloader(self) -> DataLoader[Batch]:
        """Endless training batches of this rank, from ``start`` on. Raises ValueError if there are none."""
        fit = self._checked()
        world_size, rank = self._ranks()
        self.stream = TrainingStream(
            self.utterances("train"),
            batch_seconds=self.batch_seconds,
            num_buckets=self.num_buckets,
            speed_factors=self.speed_factors,
            seed=self.seed,
            world_size=world_size,
            rank=rank,
            start=self.start,
            fits=fit.allows,
        )
        return DataLoader(
            SpeechDataset(fit.tokenizer, self.seed),
            batch_size=None,
            sampler=self.stream,
            num_workers=self.num_workers,
            worker_init_fn=_outlive_sigterm,
            prefetch_factor=4 if self.num_workers else None,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # leaves the global one alone: a resumed run draws the same from it
        )

    def loader(
        self, split: str, world_size: int | None = None, rank: int | None = None, utterances: int | None = None
    ) -> DataLoader[Batch]:
        """Every utterance of a split once, or so many of them, the longest first; rank r of n gets batch r, r + n, ...

        Raises:
            ValueError: if the split is empty, or has fewer utterances than there are ranks.
        """
        own_size, own_rank = self._ranks()
        ranks = own_size if world_size is None else world_size
        cuts = self.utterances(split) if utterances is None else choose(self.utterances(split), utterances)
        plan = plan_by_duration(cuts, self.eval_batch_seconds, ranks)
        return self._loader(plan[own_rank if rank is None else rank :: ranks])

    def calibration_loader(self, utterances: int = CALIBRATION_UTTERANCES) -> DataLoader[Batch]:
        """A few training utterances at their own speed: the same ones at any time, on every rank, with any seed."""
        self._checked()
        return self._loader(plan_by_duration(choose(self.utterances("train"), utterances), self.batch_seconds))

    def _loader(self, plan: Sequence[CutSet]) -> DataLoader[Batch]:
        return DataLoader(
            SpeechDataset(self._checked().tokenizer, self.seed),
            batch_size=None,
            sampler=[(0, cuts) for cuts in plan],  # pyright: ignore[reportArgumentType]
            num_workers=0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        return self.loader("dev", utterances=self.validated)

    def test_dataloader(self) -> DataLoader[Batch]:
        return self.loader("test")

    def _ranks(self) -> tuple[int, int]:
        return (1, 0) if self.trainer is None else (self.trainer.world_size, self.trainer.global_rank)

    def _prepared(self) -> DataReport:
        assert self.report is not None, "prepare() comes first"
        return self.report

    def _checked(self) -> Fit:
        assert self.fit is not None, "prepare() and check() come first"
        return self.fit

    def _count(self, report: DataReport) -> None:
        for split, cuts in self.cuts.items():
            hours = sum(cut.duration for cut in cuts) / 3600
            report.kept[split] = {"lines": len(cuts), "hours": round(hours, 4)}


def _check_settings(**settings: tuple[object, bool]) -> None:
    wrong = [f"{name}={value}" for name, (value, good) in settings.items() if not good]
    if wrong:
        raise ValueError(
            "the data settings require positive seconds and counts, speed factors in 0.5 .. 2 and shares in 0 .. 1, "
            f"found {', '.join(wrong)}; correct them"
        )


def _outlive_sigterm(worker: int) -> None:
    """A scheduler that ends a job tells all its processes: the training process then still needs its batch."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
