"""From records to tables and figures: a pure function of the files below `results/`."""
