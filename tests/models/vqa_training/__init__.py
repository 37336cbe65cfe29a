"""Training of the small Qwen2-VL of tests/models/easy-vqa-qwen2-vl: data, drawings, tokenizer, network, batches."""
