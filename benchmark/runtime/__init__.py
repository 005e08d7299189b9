"""Device, environment, progress bars, threads and tensors."""
