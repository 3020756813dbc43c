"""The local W&B server: the unmodified wandb client talks to it through `WANDB_BASE_URL`.

`python -m mnist_sweep.server` starts it, and `launch` does that for programs; `app.create_app(store)` is the ASGI
application.
"""
