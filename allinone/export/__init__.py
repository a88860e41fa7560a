"""Export: from a supernet to stand-alone recognisers."""
