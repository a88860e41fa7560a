"""Makes this folder the package `allinone.conf`, where hydra finds the configurations; there is no code here."""
