"""Answer questions with a pruned model, and time it."""
