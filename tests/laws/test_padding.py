"""The law of padding: what is recognised in an utterance does not depend on its batch."""

import pytest
import torch

from allinone.sparsity import Blocks
from allinone.subnet import SubnetConfig
from tests.laws.examples import (
    DECODER,
    PLAIN,
    calibrate,
    learn,
    make_batch,
    make_task,
    mixed_heads,
    mixed_member,
    perturb,
)

SPARSE = SubnetConfig.parse("1-24-8bit-h4-s50+1-12-32bit-h2-s80")
MEMBERS = [SubnetConfig.uniform(3, 24, 32), SubnetConfig.uniform(2, 12, 2), mixed_member(), mixed_heads(), SPARSE]
TOLERANCE = 1e-5  # sums over longer padded rows run in another order


@pytest.mark.parametrize("positions", ["relative", "rotary"])
@pytest.mark.parametrize("separable", [False, True], ids=["full subsampling", "separable subsampling"])
@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize("member", MEMBERS, ids=str)
def test_an_utterance_does_not_depend_on_its_batch(positions, separable, norm, member):
    task = perturb(
        make_task(
            layerwise=True,
            positions=positions,
            separable_subsampling=separable,
            num_heads=4,
            front_end_bits=None,
            convolution_norm=norm,
            pattern=Blocks(4, 1),
            sparsities=(0.5, 0.8),
        )
    ).eval()
    calibrate(task, member)
    batch = make_batch((1.3, 0.83, 0.61, 0.4, 0.32))
    with torch.no_grad():
        together = task(batch.waveforms, batch.lengths, member)
        for index in range(len(batch)):
            one = batch.select([index])
            alone = task(one.waveforms, one.lengths, member)
            frames = int(alone.lengths[0])
            assert frames == task.frames(int(one.lengths[0])) == int(together.lengths[index])
            assert alone.log_probs.shape[1] == frames
            difference = (together.log_probs[index, :frames] - alone.log_probs[0]).abs().max()
            assert difference < TOLERANCE


@pytest.mark.parametrize(
    ("positions", "norm", "training"),
    [("relative", "layer", False), ("rotary", "layer", False), ("rotary", "batch", False), ("rotary", "batch", True)],
)
def test_what_stands_in_the_padding_is_ignored(positions, norm, training):
    task = perturb(make_task(positions=positions, convolution_norm=norm)).train(training)
    calibrate(task, task.space.smallest)
    batch = make_batch((1.3, 0.61))
    noisy = batch.waveforms.clone()
    noisy[1, int(batch.lengths[1]) :] = 100.0
    with torch.no_grad():
        clean, dirty = (task(waveforms, batch.lengths, task.space.smallest) for waveforms in (batch.waveforms, noisy))
    frames = int(clean.lengths[1])
    assert torch.equal(clean.log_probs[1, :frames], dirty.log_probs[1, :frames])


@pytest.mark.parametrize("attention", [None, DECODER], ids=["ctc", "hybrid"])
@pytest.mark.parametrize("positions", ["relative", "rotary"])
def test_the_loss_of_a_batch_is_the_losses_of_its_utterances(positions, attention):
    task, batch = perturb(make_task(positions=positions, attention=attention)).eval(), make_batch()
    with torch.no_grad():

        def losses(part):
            output, teacher = (learn(task, part, member) for member in (task.space.smallest, task.space.largest))
            own = PLAIN.losses(output, part.labels, part.label_lengths)
            return torch.stack((own, PLAIN.divergences(output, teacher)))

        together = losses(batch)
        alone = torch.cat([losses(batch.select([index])) for index in range(len(batch))], dim=1)
    assert (together > 0).all()
    torch.testing.assert_close(together, alone, rtol=TOLERANCE, atol=TOLERANCE)
