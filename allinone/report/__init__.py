"""Reports: what a person looks at, and the measurements behind it."""
