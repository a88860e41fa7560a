"""Tests of what is measured as a training step."""

from dataclasses import replace

from allinone.report.step_cases import IN_BATCH, step_cases
from allinone.sparsity import NOfM
from allinone.subnet import SearchSpace

SPACE = SearchSpace((8, 12), (1024, 2048), (4, 8))


def test_the_members_are_those_of_the_published_steps():
    cases = list(step_cases(SPACE, quantised=False))
    alone = [case.members[0].name for case in cases if len(case.members) == 1]
    assert alone == ["12-2048-32bit", "12-1024-32bit", "8-2048-32bit", "8-1024-32bit"]
    assert [[member.name for member in case.members] for case in cases[4:]] == [
        ["12-2048-32bit", "8-1024-32bit", "10-1536-32bit"],
        ["12-2048-32bit", "8-1024-32bit", "10-1536-32bit", "8-2048-32bit"],
        ["12-2048-32bit", "8-1024-32bit", "10-1536-32bit", "8-2048-32bit"],
    ]
    assert [(case.in_batch, case.distillation) for case in cases[4:]] == [(False, True), (True, False), (True, True)]


def test_narrow_members_of_a_space_with_heads_have_the_fewest():
    names = {
        member.name for case in step_cases(replace(SPACE, heads=(2, 3, 4)), quantised=True) for member in case.members
    }
    wide = {"12-2048-8bit-h4", "10-1536-8bit-h4", "8-2048-4bit-h4"}
    assert names == wide | {"8-1024-4bit-h2", "12-1024-4bit-h2"}


def test_quantised_members_have_the_precisions_of_the_space():
    names = {member.name for case in step_cases(SPACE, quantised=True) for member in case.members}
    assert names == {"12-2048-8bit", "8-1024-4bit", "10-1536-8bit", "8-2048-4bit", "12-1024-4bit"}


def test_coarse_members_of_a_space_with_sparsities_have_the_most_zeros_and_the_largest_has_none():
    decoder = SearchSpace((2, 6), (512, 1024), (3, 6))
    zeros = {"sparsities": (0.5, 0.75), "pattern": NOfM(4)}
    space = replace(SPACE, **zeros, decoder=replace(decoder, **zeros))
    cases = {case.name: case for case in step_cases(space, quantised=True)}
    assert [member.name for member in cases[IN_BATCH].members] == [
        "12-2048-8bit_6-1024-6bit",
        "8-1024-4bit-1of4_2-512-3bit-1of4",
        "10-1536-8bit-2of4_4-768-6bit-2of4",
        "8-2048-4bit-1of4_2-1024-3bit-1of4",
    ]


def test_a_members_decoder_is_to_all_decoders_what_its_encoder_is_to_all_encoders():
    decoder = SearchSpace((2, 6), (512, 1024), (3, 6), heads=(4, 8))
    for together in (False, True):
        space = replace(SPACE, decoder=decoder, together=together)
        cases = list(step_cases(space, quantised=True))
        assert [case.members[0].name for case in cases[:4]] == [
            "12-2048-8bit_6-1024-6bit-h8",
            "12-1024-4bit_6-512-3bit-h4",
            "8-2048-4bit_2-1024-3bit-h8",
            "8-1024-4bit_2-512-3bit-h4",
        ]
        assert cases[4].members == (space.largest, space.smallest, cases[4].members[2])
        assert cases[4].members[2].name == "10-1536-8bit_4-768-6bit-h8"
        assert all(case.members[0] in space for case in cases)
    full = next(step_cases(replace(SPACE, decoder=decoder), quantised=False))
    assert full.members[0].name == "12-2048-32bit_6-1024-32bit-h8"
