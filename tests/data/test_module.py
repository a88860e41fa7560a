"""The data module: every fault is counted and named once, splits share no text, and every utterance is heard once."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from allinone.data import SpeechDataModule, TableCorpus, write_synthetic_corpus
from allinone.text import CharTokenizer, SentencePieceTokenizer, VocabularyTokenizer
from tests.data.examples import frames, write_bad_corpus

FAULTS = {
    "malformed row": {"malformed"},
    "duplicate id": {"good-1"},
    "empty text": {"gulp", "blank"},
    "unknown characters": {"digits"},
    "missing file": {"gone"},
    "unreadable audio": {"not-finite", "torn", "noise"},
    "empty audio": {"no-samples", "silent"},
    "too long for memory": {"long"},
    "too short for its text": {"short", "repeats"},
}


def bad_data(folder: Path, **settings) -> SpeechDataModule:
    corpus = TableCorpus(write_bad_corpus(folder))
    defaults: dict[str, Any] = {"max_seconds": 3.0, "max_bad_share": 0.9, "cache": str(folder / "cache")}
    return SpeechDataModule(corpus, **(defaults | settings))


def test_every_kind_of_fault_is_counted_named_and_left_out(tmp_path):
    data = bad_data(tmp_path)
    data.prepare()
    report = data.check(CharTokenizer(), frames)
    assert {reason: {problem.id for problem in found} for reason, found in report.problems.items()} == FAULTS
    assert report.rows == 24
    assert report.bad == sum(map(len, FAULTS.values())) == 14
    kept = {cut.id for cuts in data.cuts.values() for cut in cuts}
    assert kept == {f"good-{number}" for number in range(10)}
    assert sum(size["lines"] for size in data.sizes.values()) == 10


def test_the_report_is_plain_json_and_names_what_is_wrong(tmp_path):
    data = bad_data(tmp_path)
    data.prepare()
    plain = json.loads(json.dumps(data.check(CharTokenizer(), frames).to_dict()))
    assert plain["skipped"] == 14
    assert plain["skipped_share"] == pytest.approx(14 / 24, abs=1e-6)
    details = {problem["id"]: problem["detail"] for found in plain["problems"].values() for problem in found}
    assert details["digits"] == "2 4 in 'in 24 hours'"
    assert details["gulp"] == "nothing spoken in '<gulp> ...'"
    assert details["long"] == "4.00 s, at most 3 s are allowed"
    assert details["repeats"] == "0.40 s give 10 frames, 'aabbccdd' needs 12"
    assert details["malformed"] == "line 25 has 4 columns, the header 3"


def test_the_report_is_logged_once(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        data = bad_data(tmp_path)
        data.prepare()
        data.check(CharTokenizer(), frames)
    assert caplog.text.count("too short for its text: 2") == 1
    assert caplog.text.count("24 utterances, 14 skipped (58.33%)") == 1


def test_other_sample_rates_are_told_once(tmp_path, caplog):
    table = write_synthetic_corpus(tmp_path, utterances=20, sample_rate=8000)
    with caplog.at_level(logging.INFO):
        data = SpeechDataModule(TableCorpus(str(table)), cache=str(tmp_path / "cache"))
        data.prepare()
        report = data.check(CharTokenizer(), frames)
    assert report.to_dict()["resampled_to_16000"] == {"8000": 20}
    assert caplog.text.count("resampled to 16000 Hz: 20 from 8000 Hz") == 1


def test_too_many_faults_stop_before_training_with_the_list(tmp_path):
    with pytest.raises(
        ValueError, match=r"at most 10.0% unusable .*, found 45.8%; correct the data, or raise"
    ) as caught:
        bad_data(tmp_path, max_bad_share=0.1).prepare()
    assert "missing file: 1\n    gone: no file" in str(caught.value)
    data = bad_data(tmp_path, max_bad_share=0.5)
    data.prepare()
    with pytest.raises(ValueError, match=r"at most 50.0% .*, found 58.3%.*\n(.*\n)*  too short for its text: 2"):
        data.check(CharTokenizer(), frames)


def test_labels_that_do_not_cover_the_transcripts_are_told_by_their_characters(tmp_path):
    table = write_synthetic_corpus(tmp_path, utterances=20)
    data = SpeechDataModule(TableCorpus(str(table)), cache=str(tmp_path / "cache"))
    data.prepare()
    message = (
        r"found 100\.0%; the network has no labels for '.' \(in \d+\), '.' \(in \d+\).*: choose labels that cover the "
        r"transcripts \(tokenizer=.*\n(.*\n)*  unknown characters: 20: '.' \(in \d+\), "
    )
    with pytest.raises(ValueError, match=message):
        data.check(VocabularyTokenizer(("<pad>", "<s>", "|")), frames)


def test_a_long_list_is_cut_for_the_reader_and_whole_in_the_file(tmp_path):
    table = tmp_path / "lines.tsv"
    table.write_text("id\taudio\ttext\n" + "".join(f"u{number}\tgone.wav\ta\n" for number in range(15)))
    data = SpeechDataModule(TableCorpus(str(table)), max_bad_share=1.0, cache=None)
    report = data.prepare()
    assert "and 5 more" in report.summary()
    assert len(report.to_dict()["problems"]["missing file"]) == 15


def without_splits(table: Path, copies: int) -> Path:
    """The table with every utterance several times and no splits."""
    lines = [line.split("\t") for line in table.read_text().splitlines()[1:]]
    rows = [f"{name}-{copy}\t{audio}\t{text}" for name, audio, _, text in lines for copy in range(copies)]
    new = table.with_name("without_splits.tsv")
    new.write_text("\n".join(["id\taudio\ttext", *rows]) + "\n")
    return new


def test_automatic_splits_share_no_text_and_have_about_the_shares_asked_for(tmp_path):
    table = without_splits(write_synthetic_corpus(tmp_path, utterances=120, words=20), copies=2)
    data = SpeechDataModule(TableCorpus(str(table)), dev_share=0.2, test_share=0.3, cache=None)
    report = data.prepare()
    texts = {split: set(data.texts(split)) for split in ("train", "dev", "test")}
    assert sum(map(len, texts.values())) == len(set.union(*texts.values())) == 120
    assert 12 <= len(texts["dev"]) <= 36
    assert 24 <= len(texts["test"]) <= 48
    assert report.to_dict()["automatic_splits"]
    assert "splits made by a hash of the text" in report.summary()


def test_an_automatic_split_does_not_move_when_data_is_added(tmp_path):
    table = without_splits(write_synthetic_corpus(tmp_path, utterances=40), copies=1)
    before = SpeechDataModule(TableCorpus(str(table)), dev_share=0.3, cache=None)
    before.prepare()
    first, *lines = table.read_text().splitlines()
    table.write_text("\n".join([first, "new\taudio/utterance-0000.wav\tnew words", *reversed(lines)]))
    after = SpeechDataModule(TableCorpus(str(table)), dev_share=0.3, cache=None)
    after.prepare()
    for split in ("train", "dev"):
        assert set(after.texts(split)) - {"new words"} == set(before.texts(split))


def test_an_empty_split_is_refused_with_what_there_is(tmp_path):
    data = bad_data(tmp_path, dev_share=0.0, test_share=0.0)
    data.prepare()
    data.check(CharTokenizer(), frames)
    with pytest.raises(ValueError, match=r"'dev', found none \(usable .*: train 10, dev 0, test 0\); raise dev_share"):
        data.val_dataloader()
    table = write_synthetic_corpus(tmp_path, utterances=10)
    table.write_text(table.read_text().replace("\tdev\t", "\ttrain\t"))
    given = SpeechDataModule(TableCorpus(str(table)), cache=None)
    given.prepare()
    with pytest.raises(ValueError, match=r"found none \(.*train 9, dev 0, test 1\); name them in the corpus"):
        given.texts("dev")


def test_a_training_is_scored_on_some_utterances_of_dev_or_on_all(tmp_path):
    table = write_synthetic_corpus(tmp_path, utterances=20)
    data = SpeechDataModule(TableCorpus(str(table)), dev_share=0.3, cache=None)
    data.prepare()
    data.check(CharTokenizer(), frames)
    all_of_them = {name for batch in data.val_dataloader() for name in batch.ids}
    assert all_of_them == {cut.id for cut in data.utterances("dev")}
    data.validated = 1
    (one,) = {name for batch in data.val_dataloader() for name in batch.ids}
    assert one in all_of_them


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_a_loader_gives_every_utterance_of_a_split_once(make_data, split):
    data = make_data(eval_batch_seconds=5.0)
    batches = list(data.loader(split))
    expected = {cut.id: cut.supervisions[0].text for cut in data.cuts[split]}
    found = [pair for batch in batches for pair in zip(batch.ids, batch.texts, strict=True)]
    assert sorted(found) == sorted(expected.items())
    assert all(batch.waveforms.numel() <= 5.0 * 16000 for batch in batches)
    assert all(batch.lengths.tolist() == sorted(batch.lengths.tolist(), reverse=True) for batch in batches)


def test_ranks_share_a_split_without_overlap(make_data):
    data = make_data(eval_batch_seconds=3.0)
    parts = [[name for batch in data.loader("train", 2, rank) for name in batch.ids] for rank in (0, 1)]
    assert sorted(parts[0] + parts[1]) == sorted(cut.id for cut in data.cuts["train"])


def test_every_rank_has_a_batch_of_a_split_that_fits_into_one(make_data):
    data = make_data(eval_batch_seconds=1000.0)
    count = len(data.cuts["dev"])
    parts = [[batch.ids for batch in data.loader("dev", count, rank)] for rank in range(count)]
    assert sorted(parts) == sorted([(cut.id,)] for cut in data.cuts["dev"])
    with pytest.raises(ValueError, match=rf"{count + 1} processes require .*, found {count}; add"):
        data.loader("dev", count + 1, 0)


def test_calibration_takes_the_same_training_utterances_whatever_may_differ_between_runs(make_data):
    batches = list(make_data(batch_seconds=5.0).calibration_loader(5))
    names = [name for batch in batches for name in batch.ids]
    data = make_data(batch_seconds=5.0, eval_batch_seconds=2.0, seed=9, speed_factors=(0.9,))
    assert len(set(names)) == 5
    assert set(names) <= {cut.id for cut in data.cuts["train"]}
    for one, two in zip(batches, data.calibration_loader(5), strict=True):
        assert one.ids == two.ids
        assert torch.equal(one.waveforms, two.waveforms)


def test_labels_are_those_of_the_tokenizer(make_data):
    data = make_data()
    for batch in data.loader("dev"):
        for row, text in enumerate(batch.texts):
            assert batch.labels[row, : batch.label_lengths[row]].tolist() == CharTokenizer().encode(text)


def test_pieces_are_trained_on_the_training_texts_and_used(table):
    data = SpeechDataModule(TableCorpus(str(table)), cache=str(table.parent / "cache"))
    data.prepare()
    tokenizer = SentencePieceTokenizer.train(data.texts("train"), vocab_size=20)
    data.check(tokenizer, frames)
    batch = next(iter(data.loader("dev")))
    assert tokenizer.decode(batch.labels[0].tolist()) == batch.texts[0]


def test_the_fingerprint_is_of_the_training_data_alone(make_data, table, tmp_path):
    original = make_data().fingerprint
    assert make_data(seed=9, speed_factors=(), cache=None).fingerprint == original
    lines = table.read_text().splitlines()
    for split, changes in (("train", True), ("dev", False)):
        number = next(number for number, line in enumerate(lines) if f"\t{split}\t" in line)
        changed = tmp_path / f"{split}.tsv"
        changed.write_text("\n".join([*lines[:number], lines[number] + " a", *lines[number + 1 :]]))
        corpus = TableCorpus(str(changed), audio=str(table.parent))
        assert (make_data(corpus=corpus).fingerprint != original) == changes


def test_a_small_training_set_is_part_of_a_larger_one_and_leaves_the_other_splits_alone(make_data):
    whole, many, few = (make_data(train_utterances=count) for count in (None, 20, 5))
    assert len(many.texts("train")) == 20
    assert set(few.texts("train")) < set(many.texts("train")) < set(whole.texts("train"))
    assert few.texts("dev") == whole.texts("dev")
    assert few.sizes["train"]["lines"] == 5
    assert make_data(train_utterances=1000).fingerprint == whole.fingerprint != few.fingerprint


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ({"train_utterances": 0}, "train_utterances=0"),
        ({"batch_seconds": 0}, "batch_seconds=0"),
        ({"speed_factors": [0.9, 3]}, r"speed_factors=\[0.9, 3\]"),
        ({"max_bad_share": 5}, "max_bad_share=5"),
        ({"dev_share": 0.6, "test_share": 0.5}, "test_share=0.5"),
    ],
)
def test_settings_out_of_range_are_refused(setting, found):
    with pytest.raises(ValueError, match=rf"the data settings require .*, found {found}; correct them"):
        SpeechDataModule(TableCorpus("none.tsv"), **setting)


def test_a_network_without_ctc_keeps_what_is_spoken_faster_than_its_frames(tmp_path):
    data = bad_data(tmp_path)
    data.prepare()
    report = data.check(CharTokenizer(), frames, ctc=False, most_labels=10)
    assert {problem.id for problem in report.problems["too many labels for the attention decoder"]} == {"short"}
    assert "too short for its text" not in report.problems
    assert "repeats" in {cut.id for cuts in data.cuts.values() for cut in cuts}
