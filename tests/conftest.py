"""What all tests share: one torch thread each, so that tests can run side by side."""

import torch

torch.set_num_threads(1)
