"""Names for people of what the client measures of a machine, such as `system.gpu.0.memoryAllocated`.

The names are wandb-core's: https://docs.wandb.ai/models/ref/python/experiments/system-metrics
"""

import re

_NAMES = {
    "cpu": "CPU of the process (%)",
    r"cpu\.(\d+)\.cpu_percent": r"CPU core \1 (%)",
    r"proc\.cpu\.threads": "threads of the process",
    "memory|memory_percent": "memory in use (%)",
    r"proc\.memory\.availableMB": "memory available (MB)",
    r"proc\.memory\.percent": "memory of the process (%)",
    r"proc\.memory\.rssMB": "memory of the process (MB)",
    r"disk\.(.+)\.usagePercent": r"disk \1 in use (%)",
    r"disk\.(.+)\.usageGB": r"disk \1 in use (GB)",
    r"disk\.in|disk\.(.+)\.in": r"disk \1 read (MB)",
    r"disk\.out|disk\.(.+)\.out": r"disk \1 written (MB)",
    r"network\.sent": "network sent (bytes)",
    r"network\.recv": "network received (bytes)",
    r"gpu\.(\w+)\.gpu": r"GPU \1 utilisation (%)",
    r"gpu\.(\w+)\.memory": r"GPU \1 memory access (% of time)",
    r"gpu\.(\w+)\.memoryAllocated": r"GPU \1 memory in use (%)",
    r"gpu\.(\w+)\.memoryAllocatedBytes": r"GPU \1 memory in use (bytes)",
    r"gpu\.(\w+)\.temp": r"GPU \1 temperature (°C)",
    r"gpu\.(\w+)\.powerWatts": r"GPU \1 power (W)",
    r"gpu\.(\w+)\.powerPercent": r"GPU \1 power (% of limit)",
    r"gpu\.(\w+)\.(sm|memory|graphics)Clock": r"GPU \1 \2 clock (MHz)",
    r"gpu\.(\w+)\.fanSpeed": r"GPU \1 fan (%)",
    r"gpu\.(\w+)\.correctedMemoryErrors": r"GPU \1 corrected memory errors",
    r"gpu\.(\w+)\.uncorrectedMemoryErrors": r"GPU \1 uncorrected memory errors",
}
"""Pattern of a name without its prefix, to the name for people."""


def readable(key: str) -> str:
    """Return the name for people of a system metric; of an unknown one, its key without `system.`."""
    name = key.removeprefix("system.")
    process = re.fullmatch(r"gpu\.process\.(\w+)\.(\w+)", name)
    known = f"gpu.{process[1]}.{process[2]}" if process else name
    for pattern, words in _NAMES.items():
        if match := re.fullmatch(pattern, known):
            text = " ".join(match.expand(words).split())
            return f"{text}, this process" if process else text
    return name
