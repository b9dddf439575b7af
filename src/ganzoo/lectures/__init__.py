"""Floor 7: what lectures on GANs show. One file a lecture; `ganzoo lecture NAME` makes its page and its pictures."""
