"""The control groups of Linux that this process is in: containers, SLURM, systemd and Kubernetes limit it by them."""

from pathlib import Path, PurePosixPath


def control_groups(controller: str, root: Path = Path("/")) -> list[Path]:
    """Return the folders of this process's groups and of those above them, of both versions, for cpu or memory.

    Within a container all but its own are out of sight, and what is listed here may not exist.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return []
    mounted, folders = root / "sys/fs/cgroup", []
    for line in lines:
        controllers, path = line.split(":", 2)[1:]
        if controllers and controller not in controllers.split(","):
            continue
        tops = [mounted / controllers, mounted / controller] if controllers else [mounted, mounted / "unified"]
        group = PurePosixPath(path.lstrip("/"))
        folders += [top / each for top in tops for each in (group, *group.parents)]
    return folders


def read_numbers(file: Path) -> list[float]:
    """Return the numbers that a group's file holds, "max" as infinity; none where it cannot be read."""
    try:
        return [float(word.replace("max", "inf")) for word in file.read_text(encoding="utf-8").split()]
    except (OSError, ValueError):
        return []
