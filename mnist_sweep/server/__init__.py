"""The local W&B server: the unmodified wandb client talks to it through `WANDB_BASE_URL`.

`python -m mnist_sweep.server` starts it, and `process.launch` starts it for programs. `app.create_app(store)` creates
the ASGI application.
"""
