"""Networks as data: their layers, parameters, initial weights and states. NumPy only."""
