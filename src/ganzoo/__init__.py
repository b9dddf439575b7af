"""A PyTorch Lightning model zoo of generative adversarial networks with pretrained checkpoints."""
