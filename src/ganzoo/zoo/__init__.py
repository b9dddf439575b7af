"""Floor 3: the registry of families, the catalogue of models, the model folder, the Hub and the cards."""
