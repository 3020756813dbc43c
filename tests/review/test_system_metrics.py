import pytest

from mnist_sweep.review.figures import system_curves
from mnist_sweep.review.records import RunRecord
from mnist_sweep.review.system_metrics import readable


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("system.cpu", "CPU of the process (%)"),
        ("system.cpu.3.cpu_percent", "CPU core 3 (%)"),
        ("system.proc.memory.rssMB", "memory of the process (MB)"),
        ("system.disk./.usagePercent", "disk / in use (%)"),
        ("system.disk.in", "disk read (MB)"),
        ("system.gpu.0.memoryAllocated", "GPU 0 memory in use (%)"),
        ("system.gpu.1.smClock", "GPU 1 sm clock (MHz)"),
        ("system.gpu.process.0.temp", "GPU 0 temperature (°C), this process"),
        ("system.something.new", "something.new"),
    ],
)
def test_names_for_people(key: str, name: str) -> None:
    assert readable(key) == name


def test_the_figure_uses_them() -> None:
    rows = [{"_runtime": i, "system.proc.memory.rssMB": 100 + i} for i in range(3)]
    figure = system_curves(RunRecord(id="r", history=rows))
    assert figure is not None
    assert [trace["name"] for trace in figure["data"]] == ["memory of the process (MB)"]
