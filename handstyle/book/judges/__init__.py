"""A module for each chapter: what is asked of an answer, and the mistakes that people make."""
