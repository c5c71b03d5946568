"""Read answers that were made elsewhere, and match them to questions."""
