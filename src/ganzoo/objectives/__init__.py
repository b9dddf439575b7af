"""Floor 2: what the players minimise, and what keeps their gradients in bounds.

Pure functions of tensors and callables: `losses` over the scores of real and generated samples, `penalties` over the
gradients of a critic or a generator. Each cites its equation, returns a scalar tensor, and can be differentiated twice.
"""
