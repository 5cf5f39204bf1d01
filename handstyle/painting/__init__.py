"""Part VI, painting: settings, targets, and the run that paints a photograph in the style of a painting."""
