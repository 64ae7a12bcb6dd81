"""Sources of customers' data: what they are, what changed in them, and how well following them goes."""
