"""From records to tables and figures: a pure function of what lies under `results/`."""
