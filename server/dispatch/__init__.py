"""Dispatch: plans that send to a frozen audience, and the deliveries that workers carry out."""
