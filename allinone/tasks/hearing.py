"""A plain network hears speech one utterance after another, so that no padding counts in what is measured of it."""

from collections.abc import Iterable

import torch

from allinone.data.batch import Batch
from allinone.tasks.network import SpeechNetwork


@torch.no_grad()
def hear_each(network: SpeechNetwork, batches: Iterable[Batch]) -> int:
    """Lets a network hear each utterance alone and, if it has an attention decoder, spell what was said.

    Args:
        network: in evaluation mode.
        batches: of speech with its texts; brought to the network's device.

    Returns:
        The number of utterances.
    """
    device, count = next(network.parameters()).device, 0
    for batch in batches:
        for row in range(len(batch)):
            one = batch.select([row]).to(device)
            heard = network(one.waveforms, one.lengths)
            if network.decoder is not None:
                network.decoder(heard.encoded, heard.lengths, one.labels)
            count += 1
    return count
