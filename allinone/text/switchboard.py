"""Switchboard's transcripts: what of them is spoken and scored, in the conventions of training and evaluation sets."""

import re
from dataclasses import dataclass, field

from allinone.text.normalize import Normalizer

# what NIST's mapping of Hub5 counts as a hesitation, which may be left out without an error
_HESITATIONS = {"uh", "um", "eh", "mm", "hm", "ah", "huh", "ha", "er", "oof", "hee", "ach", "eee", "ew"}
# spellings of one assenting sound, which it counts as one word
_ASSENT = {"uh-huh", "um-hum", "uh-hum", "mm-hm", "mm-hmm", "mhm", "mmhm"}


@dataclass(frozen=True)
class SwitchboardNormalizer:
    """A rule for the transcripts of Switchboard and of NIST's evaluations of telephone speech: ``str -> str``.

    What scoring does not count is not learnt either, so that texts can be compared as they are. The rules are those of
    Kaldi and ESPnet (egs/swbd/asr1/local: swbd1_map_words.pl for training, score_sclite.sh for scoring):

    * sounds and asides vanish: ``[noise]``, ``<b_aside>``; a word that is laughed stays: ``[laughter-yes]``;
    * of a slip the word that was said stays: ``[it'n/isn't]`` is it'n; so do coinages, ``{yuppiedom}``, and words with
      a number for their pronunciation, ``them_1``;
    * words that break off vanish, ``th[is]-``, ``-[an]y``, ``wh-``;
    * in references the optional vanishes, all in parentheses: ``(%HESITATION)``, ``(TH-)``; of alternatives,
      ``{YOU'RE / YOU ARE}``, the first stays;
    * hesitations vanish (uh, um, ...), and the spellings of mhm (uh-huh, um-hum, ...) become one.

    The rest is the normaliser's: compounds are separated at their hyphens, as NIST's filter does.

    Attributes:
        then: what follows these rules.
    """

    then: Normalizer = field(default_factory=Normalizer)

    def __call__(self, text: str) -> str:
        """Return the normalised text; an empty string when nothing of it is scored."""
        text = re.sub(r"<[^<>]*>", " ", text.lower())
        text = re.sub(r"\(+[^()]*\)+", " ", text)
        text = re.sub(r"\{\s*([^{}/]*)/[^{}]*\}", r"\1", text)
        words = ("mhm" if word in _ASSENT else word for word in map(_said, text.split()))
        return self.then(" ".join(word for word in words if word not in _HESITATIONS))


def _said(word: str) -> str:
    """One word as it was said; empty for a sound, a mark and a word that breaks off."""
    word = re.sub(r"^(-?)\[laughter-(.+)\](-?)$", r"\1\2\3", word)
    word = re.sub(r"^\[(.+)/.+\](-?)$", r"\1\2", word)
    word = re.sub(r"^\{(.+)\}$", r"\1", word)
    if word.startswith(("-", "%", "[")) or word.endswith(("-", "]")) or "[" in word:
        return ""
    return re.sub(r"_\d$", "", word)
