"""Compare ways to a certified setting on tabulated benchmarks."""
