"""How documents and rows of other systems become what is known of a customer, told in a file."""
