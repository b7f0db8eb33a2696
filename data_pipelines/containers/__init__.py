"""Files whose bytes are not trusted: pickles, HDF5, csv, arrays of objects, and how much they may unfold to."""
