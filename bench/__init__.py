"""The benchmark: rowcall next to a pipe that does nothing, and next to its peers, in one run on one dataset."""
