"""Print the lowest version of every dependency that pyproject.toml allows, as constraints for pip.

`make lowest` installs these versions in a separate environment and runs the tests there:

    python -m scripts.lowest > lowest.txt
    pip install -c lowest.txt -e ".[dev]"
"""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement


def lowest(requirements: list[str]) -> list[str]:
    """Return `name==version` for each requirement that has a lower bound."""
    found = []
    for requirement in map(Requirement, requirements):
        bounds = [each.version for each in requirement.specifier if each.operator in (">=", "==", "~=")]
        found += [f"{requirement.name}=={bound}" for bound in bounds]
    return found


def main() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    print("\n".join(lowest([*project["dependencies"], *project["optional-dependencies"]["dev"]])))


if __name__ == "__main__":
    main()
