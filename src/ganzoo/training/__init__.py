"""Floor 4: the game and its engine, the strategy of several ranks, and what watches, shows and saves a run."""
