"""The pages of the dashboard, one module each, and the pieces they share."""
