"""What is done to pictures, masks and files of them: tensors in, tensors out. Knows no graph (but its errors), and may import torch freely."""
