"""Archives: where in an uncompressed tar each recording lies."""

import tarfile
from pathlib import Path


def members_of(archive: Path) -> dict[str, tuple[int, int]]:
    """Names in a tar, with and without suffix, to the position and size of their bytes.

    Raises:
        ValueError: if it is no uncompressed tar.
    """
    try:
        with tarfile.open(archive, "r:") as tar:
            files = [
                (member.name.removeprefix("./"), member.offset_data, member.size) for member in tar if member.isreg()
            ]
    except tarfile.TarError as error:
        raise ValueError(
            f"an archive of recordings requires an uncompressed tar, found {archive}, which is none ({error}); "
            "decompress it (recordings are compressed already)"
        ) from error
    found = {name.rpartition(".")[0]: (offset, size) for name, offset, size in files}
    return found | {name: (offset, size) for name, offset, size in files}
