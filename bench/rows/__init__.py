"""What is measured: rows, in groups that share a topology and a run of the engine."""
