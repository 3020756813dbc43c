"""A network and its training: knows neither Weights & Biases nor the command line."""
