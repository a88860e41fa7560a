"""Of a telephone transcript stays what NIST's scoring counts, in the conventions of training and of references."""

import pytest

from allinone.text import SwitchboardNormalizer


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("[noise] yeah [laughter] i [vocalized-noise] know", "yeah i know"),
        ("<b_aside> hang on <e_aside> okay", "hang on okay"),
        ("[laughter-story] [laughter-uh-huh]", "story mhm"),
        ("[it'n/isn't] it [weather/whether]", "it'n it weather"),
        ("{yuppiedom} them_1 about_1", "yuppiedom them about"),
        ("th[is]- this -[an]y ab[solute]- [lem[guini]-/linguini] wh- what", "this what"),
        ("ex[specially]-/especially] so", "so"),
        ("uh i um think huh uh-huh um-hum", "i think mhm mhm"),
        ("twenty-five a. t. and t.", "twenty five a t and t"),
        ("uh", ""),
        ("[noise]", ""),
    ],
)
def test_of_training_transcripts_stays_what_is_scored(written, spoken):
    assert SwitchboardNormalizer()(written) == spoken


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("(%HESITATION) WELL (TH-) THE DOG", "well the dog"),
        ("((%HESITATION) I (UH) KNOW", "i know"),
        ("UH-HUH <B_ASIDE> MHM <E_ASIDE>", "mhm mhm"),
        ("{YOU'RE / YOU ARE} RIGHT", "you're right"),
        ("%AH OH", "oh"),
        ("(%HESITATION)", ""),
    ],
)
def test_of_references_the_optional_vanishes_and_the_first_alternative_stays(written, spoken):
    assert SwitchboardNormalizer()(written) == spoken


def test_normalising_twice_changes_nothing():
    text = "[laughter-yes] um-hum twenty-five [it'n/isn't] th[is]-"
    assert SwitchboardNormalizer()(SwitchboardNormalizer()(text)) == SwitchboardNormalizer()(text)
