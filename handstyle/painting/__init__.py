"""Part VI, painting: configuration, targets, starts, and the run from two pictures to a third."""
