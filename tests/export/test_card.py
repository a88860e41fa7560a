"""Laws of the model card: it tells what was measured, and says so where nothing was."""

from dataclasses import replace
from pathlib import Path

from allinone.export import Manifest
from allinone.export.card import model_card
from tests.export.families import MIXED, RATES, write


def card(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def test_measured_error_rates_stand_on_the_card(tmp_path):
    text = card(write(tmp_path / "member", results=RATES, data_hash="abc", about_data="Read by nobody, CC0."))
    assert "# Speech recogniser 2-32-4bit" in text
    assert "2 layers of 32 feed-forward units and 4 bits per weight." in text
    assert "| WER on test | 23.12 % |\n| CER on test | 9.50 % |" in text
    assert "Read by nobody, CC0. Hash of the training data: `abc`." in text
    assert "allinone transcribe model=" in text
    assert "allinone.load(" in text


def test_a_decoder_part_is_told_apart_from_the_encoder(tmp_path):
    manifest = replace(Manifest.read(write(tmp_path / "member")), member="2-32-4bit_1-16-8bit+2-16-4bit")
    layers = "1 layer of 16 feed-forward units and 8 bits per weight, then 2 layers of 16 feed-forward units"
    assert f"2 layers of 32 feed-forward units and 4 bits per weight; its attention decoder has {layers}" in model_card(
        manifest, 29
    )


def test_scale_groups_are_told_where_a_member_has_them(tmp_path):
    manifest = replace(Manifest.read(write(tmp_path / "member")), member="2-32-4bit-g16")
    assert "2 layers of 32 feed-forward units and 4 bits per weight, a scale for every 16 inputs." in model_card(
        manifest, 29
    )


def test_a_number_of_heads_is_told_where_a_member_has_one(tmp_path):
    manifest = replace(Manifest.read(write(tmp_path / "member")), member="2-32-4bit-h2+1-32-4bit-h1")
    layers = (
        "2 layers of 32 feed-forward units, 2 attention heads and 4 bits per weight, "
        "then 1 layer of 32 feed-forward units, 1 attention head and 4 bits per weight."
    )
    assert layers in model_card(manifest, 29)


def test_zeros_are_told_where_a_member_has_them(tmp_path):
    manifest = replace(Manifest.read(write(tmp_path / "member")), member="2-32-4bit-s62.5+1-32-8bit-2of4+1-32-8bit")
    layers = (
        "2 layers of 32 feed-forward units and 4 bits per weight (62.5 % of those of its linear maps are zero), then "
        "1 layer of 32 feed-forward units and 8 bits per weight (2 of every 4 of those of its linear maps are kept, "
        "the others zero), then 1 layer of 32 feed-forward units and 8 bits per weight."
    )
    assert layers in model_card(manifest, 29)


def test_a_card_without_measurements_says_so(tmp_path):
    text = card(write(tmp_path / "member", MIXED.name))
    assert "| error rates | not measured when this was exported |" in text
    assert "The training data was not described when this was exported." in text
    assert "1 layer of 64 feed-forward units and 3 bits per weight, then 1 layer of 32" in text
