"""Export: a member of a supernet as a plain network, as a folder on the disk, and as a recogniser."""

from allinone.export.artefact import Artefact, read_artefact, write_artefact
from allinone.export.extract import extract
from allinone.export.manifest import Manifest
from allinone.export.recogniser import Recogniser, load

__all__ = ["Artefact", "Manifest", "Recogniser", "extract", "load", "read_artefact", "write_artefact"]
