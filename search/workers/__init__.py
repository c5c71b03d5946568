"""Ray actors that measure configurations."""
