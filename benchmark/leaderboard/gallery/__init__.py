"""Gallery of images and maps of every model. A run writes it, the page loads and shows it."""
