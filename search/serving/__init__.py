"""The service: carry out the jobs of a store, each in a process of its own."""
