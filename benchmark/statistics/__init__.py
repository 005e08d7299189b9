"""Bootstrap, paired tests, ranks and compact letter displays."""
