"""What providers tell us about messages that they took: one file for each provider's form and signature."""
