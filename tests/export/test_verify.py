"""Laws of verification: an export that is not the member, or not of the announced size, is found out."""

import pytest
import torch

from allinone.export import extract
from allinone.export.verify import verify_outputs, verify_size
from allinone.models import decoder_tiny
from allinone.subnet import SubnetConfig
from tests.export.families import make_task

MEMBER = SubnetConfig.parse("2-32-4bit")


def test_the_member_itself_passes():
    task = make_task().eval()
    verify_outputs(extract(task, MEMBER), task, MEMBER)


def test_another_member_is_found_out():
    task = make_task().eval()
    with pytest.raises(RuntimeError, match=r"the outputs must be exactly those of the supernet; found a difference of"):
        verify_outputs(extract(task, SubnetConfig.parse("2-32-6bit")), task, MEMBER)


def test_one_changed_weight_is_found_out():
    task = make_task().eval()
    network = extract(task, MEMBER)
    assert network.head is not None
    network.head.bias[3] += 1e-6
    with pytest.raises(RuntimeError, match=r"found a difference of \d.*e-.*\. Nothing was written"):
        verify_outputs(network, task, MEMBER)


@pytest.mark.parametrize("name", ["encoder.layers.1.feed_forward_1.down.bias", "decoder.output.linear.bias"])
def test_one_changed_weight_of_a_network_without_a_ctc_output_is_found_out(name):
    task = make_task(attention=decoder_tiny(), ctc=False).eval()
    network = extract(task, MEMBER)
    verify_outputs(network, task, MEMBER)
    network.get_parameter(name)[3] += 1e-3
    with pytest.raises(RuntimeError, match=r"found a difference of \d.*\. Nothing was written"):
        verify_outputs(network, task, MEMBER)


def test_outputs_that_are_not_finite_are_the_trainings_fault():
    task = make_task().eval()
    assert task.head is not None
    with torch.no_grad():
        task.head.bias.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"The outputs of 2-32-4bit must be finite; found NaN or infinity\. This"):
        verify_outputs(extract(task, MEMBER), task, MEMBER)


def test_tensors_of_another_size_are_found_out(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RuntimeError, match=r"the tensors must be 18 bytes; found 17\. Nothing was written"):
        verify_size(17, 18, tmp_path / "file")


@pytest.mark.parametrize(
    ("payload", "size", "fits"),
    [(1_000_000, 1_020_000, True), (1_000_000, 1_020_001, False), (900_000, 990_000, True)],
    ids=["two percent", "more", "a small file"],
)
def test_a_large_file_is_its_tensors_within_two_percent(payload, size, fits, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(bytes(size))
    if fits:
        verify_size(payload, payload, file)
    else:
        with pytest.raises(RuntimeError, match=r"the file must be 1000000 bytes and at most 2 % more; found 1020001\."):
            verify_size(payload, payload, file)
