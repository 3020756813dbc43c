"""The local W&B server: the unmodified wandb client talks to it through `WANDB_BASE_URL`.

`python -m mnist_sweep.server` starts it; `create_app(store)` is the ASGI application.
"""

from mnist_sweep.server.app import create_app
from mnist_sweep.server.auth import LOCAL_KEY
from mnist_sweep.server.store import Store, StoreError

__all__ = ["LOCAL_KEY", "Store", "StoreError", "create_app"]
