"""Images and maps of every model: built and written by a run, loaded by the page and drawn by its template."""
