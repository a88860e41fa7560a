"""Losses equal their definitions, utterance by utterance."""

import itertools

import pytest
import torch

from allinone.layers import padding_mask
from allinone.losses import attention_losses, ctc_losses, squared_distances, valid_means


def collapse(path: tuple[int, ...]) -> list[int]:
    return [label for label, _ in itertools.groupby(path) if label != 0]


def test_ctc_is_the_sum_over_all_paths_per_label():
    torch.manual_seed(0)
    log_probs = torch.randn(3, 5, 4).log_softmax(-1)
    lengths, labels, label_lengths = (
        torch.tensor([5, 4, 3]),
        torch.tensor([[1, 2], [3, 3], [2, 0]]),
        torch.tensor([2, 2, 1]),
    )
    losses = ctc_losses(log_probs, lengths, labels, label_lengths)
    for index in range(3):
        time, wanted = int(lengths[index]), labels[index, : label_lengths[index]].tolist()
        total = sum(
            torch.stack([log_probs[index, frame, label] for frame, label in enumerate(path)]).sum().exp()
            for path in itertools.product(range(4), repeat=time)
            if collapse(path) == wanted
        )
        assert float(losses[index]) == pytest.approx(-float(torch.as_tensor(total).log()) / len(wanted), rel=1e-5)


def test_an_utterance_too_short_for_its_labels_has_no_loss_and_no_gradient():
    logits = torch.randn(2, 3, 4, requires_grad=True)
    losses = ctc_losses(
        logits.log_softmax(-1), torch.tensor([3, 3]), torch.tensor([[1, 1, 1], [1, 2, 0]]), torch.tensor([3, 2])
    )
    losses.sum().backward()
    assert losses[0] == 0
    assert losses[1] > 0
    assert logits.grad is not None
    assert not logits.grad[0].any()


def test_an_empty_transcript_costs_the_blanks():
    log_probs = torch.randn(1, 3, 4).log_softmax(-1)
    losses = ctc_losses(log_probs, torch.tensor([3]), torch.zeros(1, 1, dtype=torch.long), torch.tensor([0]))
    torch.testing.assert_close(losses, -log_probs[:, :, 0].sum(1))


def test_distances_are_means_over_valid_frames_and_dimensions_of_squared_differences():
    torch.manual_seed(0)
    member, teacher = torch.randn(2, 4, 5), torch.randn(2, 4, 5)
    lengths = torch.tensor([4, 2])
    found = valid_means(squared_distances(member, teacher), lengths, padding_mask(lengths, 4))
    for index, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(found[index], (member - teacher)[index, :length].square().mean())


def test_no_gradient_of_a_distance_flows_into_the_teacher():
    member, teacher = (torch.randn(1, 3, 4, dtype=torch.bfloat16, requires_grad=True) for _ in range(2))
    distances = squared_distances(member, teacher)
    distances.sum().backward()
    assert distances.dtype == torch.float32
    assert member.grad is not None
    assert teacher.grad is None


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_attention_is_the_mean_over_labels_and_end_of_the_smoothed_cross_entropy(smoothing):
    torch.manual_seed(0)
    log_probs = torch.randn(2, 4, 5).log_softmax(-1)
    labels, label_lengths = torch.tensor([[1, 2, 4], [3, 0, 0]]), torch.tensor([3, 1])
    found = attention_losses(log_probs, labels, label_lengths, smoothing)
    for index, length in enumerate(label_lengths.tolist()):
        wanted = [*labels[index, :length].tolist(), 0]
        steps = [
            -(1 - smoothing) * log_probs[index, place, label] - smoothing * log_probs[index, place].mean()
            for place, label in enumerate(wanted)
        ]
        torch.testing.assert_close(found[index], torch.stack(steps).mean())
