"""LEO Activation: decides the right action for a customer, acts on it, and can prove the answer later."""
