"""Run studies on workers."""
