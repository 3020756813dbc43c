"""Programs that use W&B but not this project, for its tests and the screenshots in docs/."""
