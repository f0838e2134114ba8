"""One file per remedy; rowcall.repair.registry finds them."""
