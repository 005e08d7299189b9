"""The figures of a results directory."""

import matplotlib as mpl

# Names of classes, data sets and entries are no mathematics, whatever signs they have.
mpl.rcParams["text.parse_math"] = False
