"""Where visual information flows inside a model: saliency by gradients, and what blocking a flow does.

flow = himap.flow.saliency(model, inputs, targets)          # the paper's sums, by layer
with himap.flow.disrupt(model, himap.flow.Block("visual_textual", (3,))):
    model.generate(**inputs)
"""

from himap.flow.disruption import Block, disrupt
from himap.flow.saliency import Saliency, saliency

__all__ = ["Block", "Saliency", "disrupt", "saliency"]
