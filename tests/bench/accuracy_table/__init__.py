"""The parts of accuracy.py: what is measured (cases), how each model is made (ours, auto_round, llama_cpp) and how it is measured."""
