"""Laws of beam search: it finds the most probable text, honours lengths, and says what it needs."""

import dataclasses
import gzip
import math
import sys
from pathlib import Path

import pytest
import torch

from allinone.decoding import Beam, Decoder, Greedy, NgramBeam, NoCtc
from allinone.text import CharTokenizer
from tests.decoding.examples import ARPA, SENTENCES, TOKENIZERS, every_outcome, random_heard, reader, spoken, write_arpa

pytest.importorskip("flashlight", reason="flashlight-text has no wheel for this Python")

BEAM = Beam(beam_size=50, beam_threshold=50.0)
SMALL = CharTokenizer("ab ")
BIGRAM = {"</s>": -0.5, "a": -0.4, "b": -0.9, "ab": -1.2, "a b": -0.2, "b </s>": -0.1}  # as ARPA says
BACKOFF = {"<s>": -0.3, "a": -0.2, "b": -0.1, "ab": -0.1}


@pytest.fixture
def arpa(tmp_path) -> Path:
    (tmp_path / "small.arpa").write_text(ARPA)
    return tmp_path / "small.arpa"


def make_ngram_beam(path: Path, **settings: float) -> NgramBeam:
    defaults = {"lm_weight": 1.0, "word_score": 0.0, "beam_size": 50, "beam_threshold": 50.0}
    return NgramBeam(ngram=str(path), **(defaults | settings))  # pyright: ignore[reportArgumentType]


def log10_probability(words: list[str]) -> float:
    """Of a sentence by the bigram, backing off."""
    pairs = zip(["<s>", *words], [*words, "</s>"], strict=True)
    return sum(BIGRAM.get(f"{left} {right}", BACKOFF[left] + BIGRAM[right]) for left, right in pairs)


def random_log_probs(seed: int, frames: int, vocab: int) -> torch.Tensor:
    return (2 * torch.randn(1, frames, vocab, generator=torch.Generator().manual_seed(seed))).log_softmax(-1)


@pytest.mark.parametrize("seed", range(20))
def test_a_beam_finds_the_most_probable_text_of_all(seed):
    tokenizer = CharTokenizer("abc")
    log_probs = random_log_probs(seed, frames=6, vocab=4)
    masses = every_outcome(log_probs[0], tokenizer)
    (text,) = reader(Beam(beam_size=500, beam_threshold=100.0), tokenizer)(log_probs, torch.tensor([6]))
    assert text == max(masses, key=lambda text: masses[text])


@pytest.mark.parametrize(("lm_weight", "word_score"), [(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (1.0, 1.5), (1.0, -2.0)])
def test_a_beam_with_an_ngram_finds_the_best_sum_of_all(arpa, lm_weight, word_score):
    settings = {"lm_weight": lm_weight, "word_score": word_score, "beam_size": 500, "beam_threshold": 100.0}
    decode = reader(make_ngram_beam(arpa, **settings), SMALL)
    heard = set()
    for seed in range(20):
        log_probs = random_log_probs(seed, frames=6, vocab=4)
        scores = {
            text: mass + lm_weight * log10_probability(text.split()) + word_score * len(text.split())
            for text, mass in every_outcome(log_probs[0], SMALL).items()
            if set(text.split()) <= {"a", "b", "ab"}
        }
        (text,) = decode(log_probs, torch.tensor([6]))
        assert text == max(scores, key=lambda text: scores[text])
        heard.add(text)
    assert len(heard) > 3


@pytest.fixture(params=["greedy", "beam of one", "beam", "ngram"])
def decoder(request, tmp_path) -> Decoder:
    words = sorted({word for sentence in SENTENCES for word in sentence.split()})
    decoders: dict[str, Decoder] = {
        "greedy": Greedy(),
        "beam of one": dataclasses.replace(BEAM, beam_size=1),
        "beam": BEAM,
        "ngram": make_ngram_beam(write_arpa(tmp_path / "words.arpa", *words)),
    }
    return decoders[request.param]


@pytest.mark.parametrize("name", ["char", "pieces"])
def test_what_is_said_plainly_is_heard_by_every_decoder(decoder, name):
    decode = reader(decoder, TOKENIZERS[name])
    for seed in range(5):
        assert decode(*spoken([*SENTENCES], TOKENIZERS[name], seed)) == [*SENTENCES]


@pytest.mark.parametrize("name", ["char", "pieces"])
def test_an_utterance_does_not_depend_on_its_batch(decoder, name):
    tokenizer = TOKENIZERS[name]
    decode = reader(decoder, tokenizer)
    log_probs = torch.randn(4, 30, tokenizer.vocab_size, generator=torch.Generator().manual_seed(1)).log_softmax(-1)
    lengths = torch.tensor([30, 17, 1, 0])
    joined = decode(log_probs, lengths)
    assert joined[0]
    assert joined[3] == ""
    for row, length in enumerate(lengths.tolist()):
        assert decode(log_probs[row : row + 1, :length], lengths[row : row + 1]) == [joined[row]]
    assert decode(log_probs, lengths) == joined  # nothing is remembered


def test_an_alphabet_without_spaces_writes_words_without_spaces(tmp_path):
    tokenizer = TOKENIZERS["no spaces"]
    decode = reader(make_ngram_beam(write_arpa(tmp_path / "syllables.arpa", "ab", "ca", "bb", "c")), tokenizer)
    assert decode(*spoken(["abca", "bbc"], tokenizer)) == ["abca", "bbc"]


def test_the_ngram_decides_between_words_that_sound_alike(tmp_path):
    path = tmp_path / "lm.arpa"
    path.write_text(
        "\\data\\\nngram 1=7\nngram 2=3\n\n\\1-grams:\n-99\t<s>\t0\n-1\t</s>\n-9\t<unk>\n-1\tbat\t0\n-1\tbet\t0\n"
        "-1\tthe\t0\n-1\ti\t0\n\n\\2-grams:\n-0.1\tthe bat\n-0.1\ti bet\n-2\tthe bet\n\n\\end\\\n"
    )
    tokenizer = CharTokenizer()
    log_probs, lengths = spoken(["the bet", "i bat"], tokenizer)
    alike = tokenizer.encode("ae")
    log_probs[..., alike] = log_probs[..., alike].logsumexp(-1, keepdim=True) - math.log(2)
    assert reader(make_ngram_beam(path), tokenizer)(log_probs, lengths) == ["the bat", "i bet"]


def test_a_compressed_ngram_is_the_same_ngram(arpa, tmp_path):
    (tmp_path / "small.arpa.gz").write_bytes(gzip.compress(arpa.read_bytes()))
    log_probs, lengths = random_log_probs(0, 8, 4), torch.tensor([8])
    texts = [reader(make_ngram_beam(path), SMALL)(log_probs, lengths) for path in (arpa, tmp_path / "small.arpa.gz")]
    assert texts[0] == texts[1] != [""]


def test_loading_an_ngram_says_nothing(arpa, capfd):
    reader(make_ngram_beam(arpa), SMALL)
    sys.stderr.write("still heard\n")
    assert tuple(capfd.readouterr()) == ("", "still heard\n")


def test_outputs_of_a_network_that_has_diverged_are_refused(arpa):
    log_probs = torch.full((1, 5, 4), math.nan)
    for decoder in (BEAM, make_ngram_beam(arpa)):
        with pytest.raises(ValueError, match=r"requires log probabilities; found NaN among them\. .* take an earlier"):
            reader(decoder, SMALL)(log_probs, torch.tensor([5]))


def test_without_flashlight_the_command_that_installs_it_is_told(arpa, monkeypatch):
    import torchaudio.models.decoder as offered

    for name in ("ctc_decoder", "_ctc_decoder"):
        monkeypatch.delattr(offered, name, raising=False)
    monkeypatch.delitem(sys.modules, "torchaudio.models.decoder._ctc_decoder", raising=False)
    monkeypatch.setitem(sys.modules, "flashlight.lib.text.decoder", None)
    for decoder in (BEAM, make_ngram_beam(arpa)):
        with pytest.raises(ValueError, match=r"requires flashlight-text; found .*`pip install 'allinone\[beam\]'`, or"):
            reader(decoder, SMALL)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"requires an ARPA file; found none at .*lm\.arpa\. Correct the path \(decoder\.ngram\)"),
        (b"", r"must be an ARPA file .* found .*lm\.arpa, which has no words below .1-grams:\. Write one with"),
        (b"mmap lm http://kheafield.com/code format version 5\n\x00\xff", r"which cannot be read as text .* as text"),
        (b"\x1f\x8b torn", r"found .*lm\.arpa, which cannot be read as text"),
        (ARPA[:60].encode() + b"-99\t<s>\t-0.3\n-1\ta\t0\n", r"found .*lm\.arpa, which KenLM refuses \(.*\)\. Correct"),
        (b"\\data\\\nngram 1=2\n\n\\1-grams:\n-1\ta\n-1\tb\n\n\\end\\\n", r"of at least two orders; found .*bigram"),
    ],
)
def test_what_is_no_ngram_is_refused(tmp_path, content, message):
    path = tmp_path / "lm.arpa"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        reader(make_ngram_beam(path), SMALL)


@pytest.mark.parametrize("name", ["char", "pieces"])
def test_an_ngram_of_other_symbols_is_refused_with_examples_of_both(tmp_path, name):
    path = write_arpa(tmp_path / "upper.arpa", "THE", "CAT", "'")
    with pytest.raises(
        ValueError, match=r"found [23] of 3 that they cannot, such as 'THE', 'CAT'.*where the labels are"
    ):
        make_ngram_beam(path).build(TOKENIZERS[name])


def test_single_words_that_have_no_labels_are_left_out_and_told(tmp_path, caplog):
    path = write_arpa(tmp_path / "digits.arpa", "the", "cat", "24")
    decode = reader(make_ngram_beam(path), CharTokenizer())
    assert "1 of 3 words of the n-gram are never heard" in caplog.text
    assert "'24'" in caplog.text
    assert decode(*spoken(["the cat"], CharTokenizer())) == ["the cat"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"beam_size": 0},
            r"a whole number of hypotheses, .* found beam_size=0 and beam_threshold=50.0\. Correct them",
        ),
        ({"beam_size": 2.5}, "found beam_size=2.5"),
        ({"beam_threshold": 0.0}, "found beam_size=50 and beam_threshold=0.0"),
        ({"lm_weight": -1.0}, r"lm_weight must be a number of at least 0 .* found lm_weight=-1.0 and word_score=0.0\."),
        ({"word_score": math.nan}, "found lm_weight=1.0 and word_score=nan"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        make_ngram_beam(Path("lm.arpa"), **settings)
    if "beam_size" in settings:
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(BEAM, **settings)


@pytest.mark.parametrize("ngram", [False, True], ids=["beam", "n-gram"])
def test_a_network_without_a_ctc_output_is_refused(ngram, tmp_path):
    decoder = Beam(beam_size=2, beam_threshold=10.0)
    if ngram:
        arpa = str(write_arpa(tmp_path / "words.arpa", "a", "b"))
        decoder = NgramBeam(ngram=arpa, lm_weight=1.0, word_score=0.0, beam_size=2, beam_threshold=10.0)
    heard = dataclasses.replace(random_heard(0, [6, 4]), log_probs=None)
    with pytest.raises(NoCtc, match="requires a network with a CTC output; found one without"):
        decoder.build(CharTokenizer("abc"))(heard)
