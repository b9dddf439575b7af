"""Floor 6: what the public functions do, one file a verb; importing these modules does not import torch."""
