"""What all tests share: one torch thread each, so that they can run side by side; directories of published networks."""

from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A directory of a tiny network of each published kind, as transformers writes it; not to be changed."""
    from tests.published import CTC_KINDS, make_published, save_published  # importing transformers takes seconds

    return {kind: save_published(make_published(kind), tmp_path_factory.mktemp("published")) for kind in CTC_KINDS}
