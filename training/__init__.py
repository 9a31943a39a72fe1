"""What makes the embedded model: corpus, training, export, evaluation. Not part of the wheel."""
