"""The kinds of layers, one a file: sizes, blocks of parameters and initial values. NumPy only."""
