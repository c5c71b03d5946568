"""Answers that were made elsewhere: read them and match them to questions."""
