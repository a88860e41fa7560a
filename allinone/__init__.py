"""Train once, get a whole family of speech recognisers."""
