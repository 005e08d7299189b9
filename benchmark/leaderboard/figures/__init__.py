"""Everything that becomes a picture beside the table."""
