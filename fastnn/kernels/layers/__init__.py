"""The operations of the kinds of layers, one a file: what each adds to the plan of a pass."""
