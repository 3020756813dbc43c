"""Selection of a winner: estimates, finals and confirmation."""
