"""`allinone subnets`: what the members of a supernet cost, before any training."""

from hydra.utils import instantiate
from omegaconf import DictConfig

from allinone.cli.labels import known_labels
from allinone.cli.members import members_to_list, size
from allinone.cli.tables import (
    BYTES,
    NAME,
    PARAMETERS,
    RATIO,
    STORED,
    SYSTEM_RATIO,
    Column,
    check_format,
    show_json,
    show_table,
)
from allinone.models import DecoderLayout, Layout, full_precision_bytes
from allinone.quantization import Activations, Quantizer
from allinone.subnet import SearchSpace
from allinone.tasks.cost import full_system_bytes, system_cost
from allinone.tasks.groups import refuse_uneven_groups
from allinone.tasks.misfit import refuse_misfit
from allinone.tasks.network import require_output
from allinone.tasks.patterns import refuse_uneven_patterns

PER_CENT = Column("% of\nfloat32", "per_cent", "{:.2f}")
MACS = Column("MMAC\nper s", "macs", "{:,.0f}", 1e6)
COLUMNS = (NAME, PARAMETERS, BYTES, RATIO, PER_CENT, STORED, SYSTEM_RATIO, MACS)


def run(config: DictConfig) -> None:
    """Prints one row for each member, the largest first."""
    check_format(config.format)
    space: SearchSpace = instantiate(config.space)
    layout: Layout = instantiate(config.network)
    attention: DecoderLayout | None = instantiate(config.attention)
    require_output(layout, config.ctc, attention)
    refuse_misfit(layout, space, attention)
    quantizer: Quantizer = instantiate(config.quantizer)
    activations: Activations | None = instantiate(config.activations)
    refuse_uneven_groups(layout, space, attention, quantizer)
    refuse_uneven_patterns(layout, space, attention)
    vocab_size, ctc = _vocab_size(config), config.ctc
    reference: Layout = instantiate(config.get("relative_to")) or layout
    full = full_precision_bytes(reference, vocab_size, ctc)
    whole = full_system_bytes(reference, attention, vocab_size, ctc)
    rows = []
    for member in members_to_list(space, config.sample, config.seed):
        cost = system_cost(layout, attention, member, quantizer, vocab_size, ctc, space, activations)
        rows.append({"name": member.name, **size(full, whole, cost), "per_cent": 100 * cost.bytes / full})
    if config.format == "json":
        show_json(rows)
        return
    count = f"{space.count():,} members"
    show_table(COLUMNS, rows, count if space.count() == len(rows) else f"{count}, of which {len(rows)} are listed")


def _vocab_size(config: DictConfig) -> int:
    """Number of labels, also of a tokenizer that is yet to be trained on the corpus, if its settings tell."""
    labels, settings = known_labels(config), config.tokenizer
    if labels is not None:
        return labels.vocab_size
    if "vocab_size" not in settings:
        raise ValueError(
            f"The size of the output layer requires a tokenizer that says its number of labels; found "
            f"{settings._target_}, which learns them from the corpus. Choose another one here: tokenizer=char."
        )
    return settings.vocab_size
