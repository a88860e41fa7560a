"""The synthetic corpus is a pure function of its arguments, and a corpus like any other."""

import pytest
import soundfile

from allinone.data import TableCorpus, write_synthetic_corpus


def test_equal_arguments_write_equal_files_and_another_seed_others(tmp_path):
    one, two = (write_synthetic_corpus(tmp_path / name, utterances=10, seed=3) for name in ("one", "two"))
    other = write_synthetic_corpus(tmp_path / "other", utterances=10, seed=4)
    assert one.read_bytes() == two.read_bytes() != other.read_bytes()
    for path in sorted((tmp_path / "one" / "audio").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / "audio" / path.name).read_bytes()


def test_splits_share_no_text_and_durations_are_as_promised(tmp_path):
    rows = TableCorpus(str(write_synthetic_corpus(tmp_path, utterances=50))).rows()
    assert len({row.text for row in rows}) == 50
    assert [sum(row.split == split for row in rows) for split in ("train", "dev", "test")] == [40, 5, 5]
    assert all(0.5 < soundfile.info(row.audio).duration < 1.7 for row in rows)


def test_a_corpus_too_small_for_three_splits_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"at least 10 utterances for its three splits, found 9; ask for more"):
        write_synthetic_corpus(tmp_path, utterances=9)
