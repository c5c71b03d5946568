"""The engine: prunes a model in place and restores it.

attach      the context manager `himap.prune`
pruning     the hooks of one pruned model, and the record of its last prompt
plan        the cuts of a configuration on one model, and the layer that ranks for each
passes      one forward call: a prompt is cut, a continuation gets matching masks
attention   the attention function, and the attention rows that a criterion reads
logits      soft caps and sinks, in the attention and in the ranking
masks       attention masks of layers that hold fewer tokens than the prompt
layout      the row and column of each image token
refusals    the calls that pruning refuses
"""
