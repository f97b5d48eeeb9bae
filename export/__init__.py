"""From a trained network to a file that painsense runs: ONNX, proof that both say the same, model card, speed."""
