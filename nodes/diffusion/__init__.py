"""Tensors in, tensors out: the one sampling loop, its schedules, samplers, families, guidance, controls and previews. Knows no graph."""
