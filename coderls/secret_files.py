"""Which files hold secrets: they are never indexed, prompted or logged, whatever a user or a repository says."""

from __future__ import annotations

import re
from fnmatch import translate

#: File names that hold secrets (lower case).
SECRET_NAMES = (
    ".env", ".env.*", "*.env", ".envrc", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.asc",
    "*.gpg", "*.ppk", "*.ovpn", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".npmrc", ".yarnrc*", ".pypirc",
    ".netrc", "_netrc", ".git-credentials", ".htpasswd", ".pgpass", ".my.cnf", ".vault-token", "credentials",
    "credentials.*", "*credentials.json", "secrets.*", "secret.*", "*.secret", "*.secrets", "service-account*.json",
    "client_secret*.json", "*.tfvars", "*.tfstate", "*.tfstate.backup", ".terraformrc", ".dockercfg", "kubeconfig",
    "*.kubeconfig", "*.p8", ".s3cfg", ".boto", "auth.json", ".pg_service.conf",
)  # fmt: skip
#: Folders whose files are all secret.
SECRET_FOLDERS = frozenset({".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".git", ".hg", ".svn"})

_NAMES = re.compile("|".join(translate(pattern) for pattern in SECRET_NAMES))


def is_secret(path: str) -> bool:
    """Whether a file called `path` (with forward slashes) must never be read into a prompt."""
    *folders, name = path.lower().split("/")
    return any(folder in SECRET_FOLDERS for folder in folders) or _NAMES.match(name) is not None
