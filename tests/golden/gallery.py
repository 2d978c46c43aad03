"""Makes the pages of `reports/` again by the commands printed on them, and says which changed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
REPORTS = ROOT / "reports"
ARCHSIM = Path(sys.executable).with_name("archsim")
MOST_BYTES = 400_000  # of a page

# page: the commands that make it, in a folder of their own; the last one writes it
PAGES: dict[str, tuple[str, ...]] = {
    "h100-duplex-mixtral": (
        "archsim run gpu-hbm3-4 mixtral-8x7b-decode --quiet --output runs/h100",
        "archsim run duplex-4 mixtral-8x7b-decode --quiet --output runs/duplex",
        "archsim compare runs/h100 runs/duplex --output h100-duplex-mixtral.html --static",
    ),
    "three-tier-coe": (
        "archsim compose sn40l-8 samba-coe --fidelity tile --out runs/coe",
        "archsim report runs/coe --static --output three-tier-coe.html",
    ),
    "flat-fusemax": (
        "archsim run flat fusemax-bert --quiet --output runs/flat",
        "archsim run fusemax fusemax-bert --quiet --output runs/fusemax",
        "archsim compare runs/flat runs/fusemax --output flat-fusemax.html --static",
    ),
    "pim-gpt": (
        "archsim run pim-gpt gpt2-small --phase decode --batch 1 --context 1024 --quiet "
        "--output runs/pim-gpt",
        "archsim explain runs/pim-gpt --sensitivity",
        "archsim report runs/pim-gpt --static --output pim-gpt.html",
    ),
}


def made(name: str) -> str:
    """The text of a page, from its commands run in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        for command in PAGES[name]:
            words = [str(ARCHSIM), *command.split()[1:]]
            subprocess.run(words, cwd=folder, check=True, capture_output=True)
        return (Path(folder) / f"{name}.html").read_text("utf-8")


def _size(text: str) -> int:
    return len(text.encode())


def main() -> None:
    """Write every page, print what changed."""
    lines = []
    for name in PAGES:
        path = REPORTS / f"{name}.html"
        old = path.read_text("utf-8") if path.exists() else ""
        new = made(name)
        if old != new:
            path.write_text(new, "utf-8", newline="\n")
            lines.append(f"reports/{name}.html: {_size(old)} -> {_size(new)} bytes")
        if _size(new) > MOST_BYTES:
            lines.append(f"reports/{name}.html is larger than {MOST_BYTES} bytes")
    sys.stdout.write("\n".join(lines or ["no page changed"]) + "\n")


if __name__ == "__main__":
    main()
