"""Making models: simulation, data sets, training and evaluation. Runs from a checkout, is never installed."""
