"""Programs as users of W&B write them, who know nothing of this project: for its tests and the pictures in docs/."""
