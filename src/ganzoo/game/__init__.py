"""Floor 3: what a family is made of: the game and its verb, abilities, the engine, the registry."""
