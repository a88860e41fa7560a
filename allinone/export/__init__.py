"""Export: a member of a supernet as a plain network, as a folder on the disk, and as a recogniser."""

from allinone.export.artefact import Artefact, artefact_weights, read_artefact
from allinone.export.extract import extract
from allinone.export.manifest import Manifest
from allinone.export.recogniser import Recogniser, load
from allinone.export.writer import write_artefact

__all__ = [
    "Artefact",
    "Manifest",
    "Recogniser",
    "artefact_weights",
    "extract",
    "load",
    "read_artefact",
    "write_artefact",
]
