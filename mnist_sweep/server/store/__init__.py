"""The data folder: a SQLite database and a folder of file contents.

`Store` opens the folder and hands out connections. The modules beside it hold plain functions over an open connection
(`runs`, `lines`, `sweeps`, `files`, `artifacts`, `projects`, `views`). Reads run in parallel. Writes run one after the
other, each in one transaction that is on disk before it is acknowledged.
"""

from mnist_sweep.server.errors import StoreError
from mnist_sweep.server.store.blobs import Blobs
from mnist_sweep.server.store.db import Database
from mnist_sweep.server.store.store import Store

__all__ = ["Blobs", "Database", "Store", "StoreError"]
