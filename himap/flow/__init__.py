"""The flow of visual information inside a model: its saliency by gradients, and its disruption.

flow = himap.flow.saliency(model, inputs, targets)          # the paper's sums, by layer
with himap.flow.disrupt(model, himap.flow.Block("visual_textual", (3,))):
    model.generate(**inputs)
"""

from himap.flow.disruption import Block, Flow, disrupt
from himap.flow.saliency import Saliency, saliency

__all__ = ["Block", "Flow", "Saliency", "disrupt", "saliency"]
