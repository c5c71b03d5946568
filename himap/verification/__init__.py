"""Whether a model is pruned exactly: a comparison with its own forward, in which dropped tokens are hidden.

verify      the comparison, `himap.verify`
reference   the masked reference, which knows no family
prompts     random prompts for any model
"""
