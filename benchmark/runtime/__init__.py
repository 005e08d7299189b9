"""The machine: device, environment, progress, parallel work and tensors."""
