"""Images and maps of every model: written by a run, read by the page."""
