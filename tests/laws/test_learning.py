"""The law of learning: the tiny supernet learns the synthetic corpus in about a minute, largest and smallest."""

import torch

from allinone.data import SpeechDataModule, TableCorpus, write_synthetic_corpus
from allinone.decoding import Greedy
from allinone.layers import LogMelSettings
from allinone.models import conformer_tiny
from allinone.quantization import Lsq
from allinone.subnet import SandwichSampler, SearchSpace
from allinone.tasks.evaluation import evaluate
from allinone.tasks.speech import SpeechTask
from allinone.text import CharTokenizer
from allinone.training import AdamW, CosineDecay, Objective
from allinone.training.one_pass import Draw, assign, one_pass

STEPS = 220
LEARNT = 20.0  # per cent of characters; whoever always says nothing has 100


def test_the_tiny_supernet_learns_the_synthetic_corpus(tmp_path):
    torch.manual_seed(0)
    table = write_synthetic_corpus(tmp_path, utterances=120)
    data = SpeechDataModule(
        TableCorpus(str(table)), batch_seconds=16, num_buckets=2, speed_factors=(), num_workers=0, cache=None
    )
    data.prepare()
    task = SpeechTask(
        layout=conformer_tiny(),
        space=SearchSpace((2, 3), (32, 64), (4, 8)),
        tokenizer=CharTokenizer.train(data.texts("train")),
        quantizer=Lsq(),
        features=LogMelSettings(),
    )
    data.check(task.tokenizer, task.frames)
    optimizer, schedule = AdamW(lr=1.0).build(task), CosineDecay(0.1)
    sampler = SandwichSampler(task.space)
    for step, batch in zip(range(STEPS), data.train_dataloader(), strict=False):
        for group, rate in zip(optimizer.param_groups, (5e-3, 5e-3, 1e-3), strict=True):
            group["lr"] = rate * schedule.factor(step, STEPS)
        plan = assign(batch, sampler.members(step, 0), in_batch=False, step=step)
        scale, draw = 1 / len(batch), Draw(0, step, 0)
        one_pass(task, batch, plan, Objective(), scale=scale, backward=torch.Tensor.backward, draw=draw)
        torch.nn.utils.clip_grad_norm_(task.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()
    members = [task.space.largest, task.space.smallest]
    rates = {
        evaluation.member.name: evaluation.characters.rate
        for evaluation in evaluate(
            task, data.loader("dev"), members, decode=Greedy().build(task.tokenizer), scoring=str
        )[0]
    }
    assert max(rates.values()) < LEARNT, rates
