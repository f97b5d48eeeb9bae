"""From labelled recordings to the network that weighs face and voice: records, splits, training, evaluation."""
